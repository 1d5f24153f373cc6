//! A JSON array or object somewhere in a document: every element or field is an item, byte for byte, and none is kept.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::format::{Emit, MAX_ITEM_BYTES, Stop};
use super::item::Item;

/// Reads the elements of the array, or the fields of the object, at `pointer` (RFC 6901; empty for the whole document).
pub(super) fn read(input: &mut dyn BufRead, pointer: &str, emit: &mut Emit<'_>) -> Result<(), Stop> {
    let path = parse_pointer(pointer).map_err(Stop::Format)?;
    let budget = Cell::new(None);
    let mut stopped = None;
    let mut document =
        serde_json::Deserializer::from_reader(BufReader::with_capacity(8 * 1024, Budgeted { input, budget: &budget }));
    let target = Target { path: &path, depth: 0, budget: &budget, emit, stopped: &mut stopped };
    let read = target.deserialize(&mut document).and_then(|()| document.end());
    match (stopped, read) {
        (Some(stop), _) => Err(stop),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) if error.is_io() => Err(Stop::Io(error.into())),
        (None, Err(error)) if error.is_data() => Err(Stop::Format(error.to_string())),
        (None, Err(error)) => Err(Stop::Format(format!("not JSON: {error}"))),
    }
}

/// The pointer's parts, unescaped.
fn parse_pointer(pointer: &str) -> Result<Vec<String>, String> {
    let Some(parts) = pointer.strip_prefix('/') else {
        return if pointer.is_empty() {
            Ok(Vec::new())
        } else {
            Err(format!("the pointer `{pointer}` must be empty or start with `/` (RFC 6901)"))
        };
    };
    Ok(parts.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
}

/// What is left of the way to the items, and what to do there.
struct Target<'a, 'e> {
    path: &'a [String],
    depth: usize,
    budget: &'a Cell<Option<usize>>,
    emit: &'a mut Emit<'e>,
    stopped: &'a mut Option<Stop>,
}

impl Target<'_, '_> {
    /// The place that was reached, for people.
    fn place(&self) -> String {
        match self.depth {
            0 => "the document".into(),
            depth => format!("`/{}`", self.path[..depth].join("/")),
        }
    }

    fn inner(&mut self) -> Target<'_, '_> {
        let Self { path, depth, budget, emit, stopped } = self;
        Target { path, depth: *depth + 1, budget, emit: &mut **emit, stopped }
    }
}

impl<'de> DeserializeSeed<'de> for Target<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Target<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.get(self.depth) {
            None => write!(f, "an array or an object at {}", self.place()),
            Some(part) => write!(f, "an object with `{part}` at {}", self.place()),
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let Some(part) = self.path.get(self.depth) else {
            return self.emit_fields(map);
        };
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if &key != part {
                map.next_value::<IgnoredAny>()?;
            } else if std::mem::replace(&mut found, true) {
                return Err(A::Error::custom(format!("{} has `{part}` twice", self.place())));
            } else {
                map.next_value_seed(self.inner())?;
            }
        }
        if found { Ok(()) } else { Err(A::Error::custom(format!("{} has no `{part}`", self.place()))) }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
        let Some(part) = self.path.get(self.depth) else {
            return self.emit_elements(array);
        };
        // `-` and numbers with leading zeros name no element.
        let index = part.parse().ok().filter(|index: &usize| index.to_string() == *part);
        let missing = || A::Error::custom(format!("the array at {} has no element `{part}`", self.place()));
        for _ in 0..index.ok_or_else(missing)? {
            array.next_element::<IgnoredAny>()?.ok_or_else(missing)?;
        }
        if array.next_element_seed(self.inner())?.is_none() {
            return Err(A::Error::custom(format!("the array at {} has no element `{part}`", self.place())));
        }
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

impl Target<'_, '_> {
    fn emit_elements<'de, A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
        for index in 0u64.. {
            let Some(value) = self.within_budget(|| format!("element {index}"), || array.next_element())? else {
                break;
            };
            self.emit(Item { key: None, value })?;
        }
        self.budget.set(None);
        Ok(())
    }

    fn emit_fields<'de, A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        for index in 0u64.. {
            let Some((key, value)) = self.within_budget(|| format!("field {index}"), || object.next_entry())? else {
                break;
            };
            self.emit(Item { key: Some(key), value })?;
        }
        self.budget.set(None);
        Ok(())
    }

    /// Reads what may take as many bytes as an item.
    fn within_budget<T, E>(&mut self, name: impl Fn() -> String, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.budget.set(Some(MAX_ITEM_BYTES));
        let read = read();
        if self.budget.get() == Some(0) {
            let reason = format!("{} of {} is longer than {MAX_ITEM_BYTES} bytes", name(), self.place());
            *self.stopped = Some(Stop::Format(reason));
        }
        read
    }

    fn emit<E: serde::de::Error>(&mut self, item: Item) -> Result<(), E> {
        (self.emit)(item).map_err(|stop| {
            *self.stopped = Some(stop);
            E::custom("stopped")
        })
    }
}

/// A reader that ends when the budget is used up. Without it serde_json would buffer an element of any length.
struct Budgeted<'a> {
    input: &'a mut dyn BufRead,
    /// What may still be read, in bytes; none where nothing is held.
    budget: &'a Cell<Option<usize>>,
}

impl Read for Budgeted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.budget.get() else {
            return self.input.read(buffer);
        };
        let wanted = buffer.len().min(left);
        let read = self.input.read(&mut buffer[..wanted])?;
        self.budget.set(Some(left - read));
        Ok(read)
    }
}
