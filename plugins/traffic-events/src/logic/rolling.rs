//! Averages over the last rows of a measuring point, and what they say.

/// How many rows the long average is over.
pub const LONG: usize = 20;

/// How many rows before a day its averages need.
pub const PRECEDING: usize = LONG - 1;

/// Up to this average speed in km/h there is a jam.
const JAM: f64 = 40.0;

/// Above this average speed in km/h a measurement is not believed.
const HIGHEST: f64 = 250.0;

/// From this difference in km/h on, the speed has changed.
const CHANGE: f64 = 20.0;

/// The averages that end with each row. A null is none, in what comes and in what goes.
pub struct Averages {
    /// Of the row and the two before it.
    pub of_3: Vec<Option<f64>>,
    /// Of the row and the nineteen before it.
    pub of_20: Vec<Option<f64>>,
}

impl Averages {
    /// The averages of all rows but the first ones, which are those before.
    #[must_use]
    pub fn new(speeds: &[Option<f64>], before: usize) -> Self {
        let sums = Windows::new(speeds.iter().map(|speed| speed.unwrap_or(0.0)).collect());
        let counts = Windows::new(speeds.iter().map(|speed| f64::from(u8::from(speed.is_some()))).collect());
        let mean = |sums: &[f64], counts: &[f64]| {
            let rows = sums.iter().zip(counts).skip(before);
            rows.map(|(sum, count)| Some(sum / count).filter(|mean| mean.is_finite())).collect()
        };
        Self { of_3: mean(&sums.of_3, &counts.of_3), of_20: mean(&sums.of_20, &counts.of_20) }
    }
}

/// The sums of the last 3 and the last 20 values.
///
/// They are made of sums of 2, 4, 8 and 16 values: six additions for each row instead of twenty, and nothing that adds up from
/// row to row, as what is left of a running sum would.
struct Windows {
    of_3: Vec<f64>,
    of_20: Vec<f64>,
}

impl Windows {
    fn new(of_1: Vec<f64>) -> Self {
        let of_2 = added(&of_1, &of_1, 1);
        let of_4 = added(&of_2, &of_2, 2);
        let of_8 = added(&of_4, &of_4, 4);
        let of_16 = added(&of_8, &of_8, 8);
        Self { of_3: added(&of_2, &of_1, 2), of_20: added(&of_16, &of_4, 16) }
    }
}

/// To each value what the others have so many rows before it.
fn added(values: &[f64], others: &[f64], before: usize) -> Vec<f64> {
    let (first, rest) = values.split_at(before.min(values.len()));
    let mut sums = Vec::with_capacity(values.len());
    sums.extend_from_slice(first);
    sums.extend(rest.iter().zip(others).map(|(value, other)| value + other));
    sums
}

/// Whether an average speed means a jam: 1 if it does, 0 if not, -1 if nobody knows.
#[must_use]
pub fn jam(average: Option<f64>) -> i64 {
    match average {
        Some(speed) if (0.0..=JAM).contains(&speed) => 1,
        Some(speed) if speed > JAM && speed <= HIGHEST => 0,
        _ => -1,
    }
}

/// Whether the speed went up (1), down (-1) or neither (0).
#[must_use]
pub fn change(previous: Option<f64>, current: Option<f64>) -> i64 {
    match previous.zip(current).map(|(previous, current)| current - previous) {
        Some(difference) if difference >= CHANGE => 1,
        Some(difference) if difference <= -CHANGE => -1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    /// As the definition has it.
    fn plain(speeds: &[Option<f64>], before: usize, window: usize) -> Vec<Option<f64>> {
        let average = |end: usize| {
            let known: Vec<f64> = speeds[(end + 1).saturating_sub(window)..=end].iter().flatten().copied().collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        (before..speeds.len()).map(average).collect()
    }

    proptest! {
        /// Sums of eighths are exact, whatever their order.
        #[test]
        fn averages_are_those_of_the_definition(
            speeds in vec(option::weighted(0.8, -80..2000_i32), 0..70),
            before in 0..=PRECEDING,
        ) {
            let speeds: Vec<_> = speeds.into_iter().map(|speed| speed.map(|eighths| f64::from(eighths) / 8.0)).collect();
            let before = before.min(speeds.len());
            let found = Averages::new(&speeds, before);
            prop_assert_eq!(found.of_3, plain(&speeds, before, 3));
            prop_assert_eq!(found.of_20, plain(&speeds, before, LONG));
        }

        #[test]
        fn other_numbers_are_off_by_their_last_digits_only(speeds in vec(option::of(0.0..250.0_f64), 1..200)) {
            let found = Averages::new(&speeds, 0);
            for (found, plain) in found.of_20.iter().zip(plain(&speeds, 0, LONG)) {
                prop_assert_eq!(found.is_some(), plain.is_some());
                prop_assert!((found.unwrap_or(0.0) - plain.unwrap_or(0.0)).abs() < 1e-12 * 250.0);
            }
        }

        #[test]
        fn every_average_has_its_band(eighths in -2000..4000_i32) {
            let average = f64::from(eighths) / 8.0;
            let expected = if (0..=320).contains(&eighths) { 1 } else if (321..=2000).contains(&eighths) { 0 } else { -1 };
            prop_assert_eq!(jam(Some(average)), expected);
        }
    }

    #[test]
    fn there_is_no_gap_between_the_bands() {
        for (average, expected) in
            [(40.0, 1), (40.0_f64.next_up(), 0), (40.5, 0), (41.0, 0), (250.0, 0), (250.5, -1), (0.0, 1), (-0.125, -1)]
        {
            assert_eq!(jam(Some(average)), expected, "{average}");
        }
        assert_eq!(jam(None), -1);
    }

    #[test]
    fn a_change_needs_both_speeds() {
        for (previous, current, expected) in [
            (Some(50.0), Some(70.0), 1),
            (Some(50.0), Some(69.875), 0),
            (Some(50.0), Some(30.0), -1),
            (Some(50.0), Some(30.125), 0),
            (None, Some(70.0), 0),
            (Some(50.0), None, 0),
        ] {
            assert_eq!(change(previous, current), expected);
        }
    }
}
