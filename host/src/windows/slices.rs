//! Where one slice of a table ends and the next one begins. Every row is in exactly one slice, whatever the bounds are.

use super::statement::Condition;

/// The conditions of slices by a column, between these bounds, which ascend: the first slice has what is below the first bound and
/// the rows without a value, and the last one has what is not below the last bound.
pub(super) fn between(column: &str, bounds: &[String]) -> Vec<Vec<Condition>> {
    let from = |bound: &String| Condition::compare(column, ">=", bound);
    let to = |bound: &String| Condition::compare(column, "<", bound);
    let Some((first, last)) = bounds.first().zip(bounds.last()) else { return vec![Vec::new()] };
    let inner = bounds.windows(2).map(|pair| vec![from(&pair[0]), to(&pair[1])]);
    let mut slices = vec![vec![to(first).or(Condition::is_null(column))]];
    slices.extend(inner);
    slices.push(vec![from(last)]);
    slices
}

/// The bounds of `count` slices in equal strides from `lower` to `upper`.
pub(super) fn strides(lower: i64, upper: i64, count: u32) -> Vec<String> {
    let span = i128::from(upper) - i128::from(lower);
    let mut bounds: Vec<i128> =
        (1..i128::from(count)).map(|n| i128::from(lower) + span * n / i128::from(count)).collect();
    // More slices than whole numbers between the bounds: some would be empty.
    bounds.dedup();
    bounds.retain(|bound| *bound > i128::from(lower));
    bounds.iter().map(i128::to_string).collect()
}

/// The conditions of slices by the pages in which rows lie. The last one is open: tables grow.
pub(super) fn pages(pages: u64, count: u32) -> Vec<Vec<Condition>> {
    let count = u64::from(count).min(pages.max(1));
    let tid = |operator: &str, page: u64| Condition {
        text: format!("ctid {operator} ?::tid"),
        values: vec![format!("({page},0)")],
    };
    let bound = |n: u64| u64::try_from(u128::from(pages) * u128::from(n) / u128::from(count)).unwrap_or(u64::MAX);
    let slice = |n: u64| {
        let from = (n > 0).then(|| tid(">=", bound(n)));
        let to = (n + 1 < count).then(|| tid("<", bound(n + 1)));
        from.into_iter().chain(to).collect()
    };
    (0..count).map(slice).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether a row with this value is in a slice, as the server would see it.
    fn holds(conditions: &[Condition], value: Option<i64>) -> bool {
        conditions.iter().all(|condition| {
            let mut values = condition.values.iter().map(|value| value.parse::<i64>().unwrap());
            let mut alternatives = condition.text.trim_matches(['(', ')']).split(" OR ");
            alternatives.any(|text| match value {
                None => text.ends_with("IS NULL"),
                Some(value) if text.contains(">=") => value >= values.next().unwrap(),
                Some(value) if text.contains('<') => value < values.next().unwrap(),
                Some(_) => false,
            })
        })
    }

    #[test]
    fn four_quarters_are_four_slices() {
        let slices = between("quarter", &strides(1, 5, 4));
        assert_eq!(slices.len(), 4);
        for (quarter, slice) in [(Some(1), 0), (Some(2), 1), (Some(3), 2), (Some(4), 3), (Some(9), 3), (None, 0)] {
            assert!(holds(&slices[slice], quarter), "{quarter:?}");
        }
    }

    proptest! {
        #[test]
        fn every_row_is_in_exactly_one_slice(
            lower in -50..50_i64, span in 1..100_i64, count in 1..40_u32, value in proptest::option::of(-120..120_i64),
        ) {
            let slices = between("n", &strides(lower, lower + span, count));
            prop_assert!(slices.len() <= count as usize);
            prop_assert_eq!(slices.iter().filter(|slice| holds(slice, value)).count(), 1);
        }

        #[test]
        fn strides_do_not_overflow(lower in any::<i64>(), upper in any::<i64>(), count in 1..10_000_u32) {
            let bounds = strides(lower.min(upper), lower.max(upper), count);
            let numbers: Vec<i64> = bounds.iter().map(|bound| bound.parse().unwrap()).collect();
            prop_assert!(numbers.is_sorted_by(|a, b| a < b));
        }

        #[test]
        fn pages_are_all_read_once(all in 0..5_000_u64, count in 1..100_u32, page in 0..6_000_u64) {
            let inside = |conditions: &Vec<Condition>| conditions.iter().all(|condition| {
                let bound: u64 = condition.values[0].trim_start_matches('(').split(',').next().unwrap().parse().unwrap();
                if condition.text.contains(">=") { page >= bound } else { page < bound }
            });
            let slices = pages(all, count);
            prop_assert!(slices.len() <= count as usize);
            prop_assert_eq!(slices.iter().filter(|slice| inside(slice)).count(), 1);
        }
    }
}
