//! Items into batches (`ItemBatcher`): as many as the limits on items and on bytes allow, in order.
//!
//! What counts is what the child workflow gets, the UTF-8 text of `{"BatchInput":…,"Items":[…]}`, batch input included. An
//! item that exceeds the limit alone fails the run, as it does in Step Functions (`States.DataLimitExceeded`).

use serde_json::value::RawValue;

use crate::job::item_name;

/// Groups items. Push them all, then take what [`Batcher::finish`] still has.
#[derive(Debug)]
pub struct Batcher {
    limits: Limits,
    /// What a batch without items has.
    frame_bytes: usize,
    items: Vec<Box<RawValue>>,
    bytes: usize,
    /// How many items were pushed.
    pushed: u64,
}

/// How large a batch may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `MaxItemsPerBatch`; zero counts as one.
    pub items: usize,
    /// `MaxInputBytesPerBatch`.
    pub bytes: usize,
}

/// The items of one batch, at least one, and the size of the child workflow's input.
#[derive(Debug)]
pub struct Items {
    /// In the order of the dataset.
    pub items: Vec<Box<RawValue>>,
    /// Of the whole input, in bytes.
    pub bytes: usize,
}

/// An item that no batch can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "item {index}{} makes a batch of {bytes} bytes by itself, more than max_input_bytes_per_batch = {limit}: let an item selector take only what the plugin needs, or make batch_input smaller",
    name.as_deref().map_or_else(String::new, |name| format!(" ({name})"))
)]
pub struct TooLarge {
    /// The item's place in the dataset, from 0.
    pub index: u64,
    /// The item's own name.
    pub name: Option<String>,
    /// What a batch of only this item has.
    pub bytes: usize,
    /// What a batch may have.
    pub limit: usize,
}

impl Batcher {
    /// A batcher for batches that all have this batch input.
    pub fn new(limits: Limits, batch_input: Option<&RawValue>) -> Self {
        let input = batch_input.map_or(0, |input| r#""BatchInput":,"#.len() + input.get().len());
        let frame_bytes = r#"{"Items":[]}"#.len() + input;
        Self { limits, frame_bytes, items: Vec::new(), bytes: frame_bytes, pushed: 0 }
    }

    /// Adds an item. Returns a batch that has become full: the one before this item, or the one with it.
    pub fn push(&mut self, item: Box<RawValue>) -> Result<Option<Items>, TooLarge> {
        let (index, alone) = (self.pushed, self.frame_bytes + item.get().len());
        if alone > self.limits.bytes {
            return Err(TooLarge { index, name: item_name(item.get()), bytes: alone, limit: self.limits.bytes });
        }
        self.pushed += 1;
        let comma = usize::from(!self.items.is_empty());
        let full = if self.bytes + comma + item.get().len() > self.limits.bytes { self.finish() } else { None };
        self.bytes += usize::from(!self.items.is_empty()) + item.get().len();
        self.items.push(item);
        // Never two full batches at once: where a batch holds a single item, the one before was returned with its own item.
        if full.is_none() && self.items.len() >= self.limits.items { Ok(self.finish()) } else { Ok(full) }
    }

    /// Returns the items that are left as a batch, if there are any.
    pub fn finish(&mut self) -> Option<Items> {
        let items = std::mem::take(&mut self.items);
        let bytes = std::mem::replace(&mut self.bytes, self.frame_bytes);
        (!items.is_empty()).then_some(Items { items, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.into()).unwrap()
    }

    /// The input as the child workflow gets it.
    fn text(batch_input: Option<&RawValue>, items: &[Box<RawValue>]) -> String {
        let input = crate::job::MessageInput { batch_input: batch_input.map(ToOwned::to_owned), items: items.to_vec() };
        serde_json::to_string(&input).unwrap()
    }

    fn all(limits: Limits, batch_input: Option<&RawValue>, items: &[Box<RawValue>]) -> Result<Vec<Items>, TooLarge> {
        let mut batcher = Batcher::new(limits, batch_input);
        let mut batches = Vec::new();
        for item in items {
            batches.extend(batcher.push(item.clone())?);
        }
        batches.extend(batcher.finish());
        Ok(batches)
    }

    #[test]
    fn an_item_that_fits_no_batch_is_named() {
        let items = [raw("1"), raw(&format!(r#"{{"Key":"big.csv","x":"{}"}}"#, "y".repeat(100)))];
        let error = all(Limits { items: 10, bytes: 64 }, None, &items).unwrap_err();
        assert_eq!((error.index, error.name.as_deref(), error.limit), (1, Some("big.csv"), 64));
        assert_eq!(error.bytes, text(None, &items[1..]).len());
    }

    #[test]
    fn a_limit_is_what_a_batch_may_have_exactly() {
        let items = [raw("1"), raw("2")];
        let exact = text(None, &items).len();
        assert_eq!(all(Limits { items: 9, bytes: exact }, None, &items).unwrap().len(), 1);
        assert_eq!(all(Limits { items: 9, bytes: exact - 1 }, None, &items).unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn batches_keep_order_lose_nothing_respect_limits_and_are_full(
            lengths in prop::collection::vec(0usize..40, 0..60),
            items in 1usize..9, bytes in 40usize..200, input in prop::option::of(0usize..40),
        ) {
            let source: Vec<_> =
                lengths.iter().enumerate().map(|(n, length)| raw(&format!("\"{n}ö{}\"", "x".repeat(*length)))).collect();
            let input = input.map(|length| raw(&format!("\"{}\"", "b".repeat(length))));
            let limits = Limits { items, bytes };
            match all(limits, input.as_deref(), &source) {
                Err(error) => {
                    let alone = text(input.as_deref(), &source[error.index as usize..][..1]).len();
                    prop_assert_eq!(alone, error.bytes);
                    prop_assert!(alone > bytes);
                }
                Ok(batches) => {
                    let back: Vec<_> = batches.iter().flat_map(|batch| &batch.items).map(|item| item.get()).collect();
                    prop_assert_eq!(back, source.iter().map(|item| item.get()).collect::<Vec<_>>());
                    for batch in &batches {
                        prop_assert_eq!(text(input.as_deref(), &batch.items).len(), batch.bytes);
                        prop_assert!(batch.bytes <= bytes && (1..=items).contains(&batch.items.len()));
                    }
                    for pair in batches.windows(2) {
                        let more: Vec<_> = pair[0].items.iter().chain(&pair[1].items[..1]).cloned().collect();
                        prop_assert!(more.len() > items || text(input.as_deref(), &more).len() > bytes, "not full");
                    }
                }
            }
        }
    }
}
