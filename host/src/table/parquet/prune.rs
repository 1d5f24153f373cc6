//! Row groups that cannot have a row that meets a condition, by their statistics: only where these can be trusted.
//! Floating-point numbers hide NaN, decimals and unsigned numbers were ordered in wrong ways by old writers.

use arrow::array::{ArrayRef, AsArray as _};
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use parquet::file::statistics::Statistics;

use super::super::condition::Condition;
use super::super::request::Comparison;

/// Whether a row group may have rows that meet the condition, whose column has this type in the file and is not cast to
/// another than the one that follows from it.
pub(super) fn may_meet(condition: &Condition, file_type: &DataType, statistics: Option<&Statistics>) -> bool {
    let (Some(value), Some(statistics)) = (&condition.value, statistics) else { return true };
    if statistics.is_min_max_deprecated() {
        return true;
    }
    let comparison = condition.comparison;
    match statistics {
        Statistics::Int32(of) => {
            whole(comparison, value, file_type, of.min_opt().map(|n| (*n).into()), of.max_opt().map(|n| (*n).into()))
        }
        Statistics::Int64(of) => whole(comparison, value, file_type, of.min_opt().copied(), of.max_opt().copied()),
        // Cut texts are bounds all the same.
        Statistics::ByteArray(of) if *file_type == DataType::Utf8View => {
            let (Some(min), Some(max)) = (of.min_opt(), of.max_opt()) else { return true };
            value
                .as_string_opt::<i32>()
                .is_none_or(|value| between(comparison, min.data(), value.value(0).as_bytes(), max.data()))
        }
        _ => true,
    }
}

/// Numbers, days and instants, in the unit that blocks have.
fn whole(comparison: Comparison, value: &ArrayRef, file_type: &DataType, min: Option<i64>, max: Option<i64>) -> bool {
    let unit = |bound: i64| match file_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Date32 => Some(bound),
        DataType::Timestamp(TimeUnit::Millisecond, _) => bound.checked_mul(1_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(bound),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(bound.div_euclid(1_000)),
        _ => None,
    };
    let value = value
        .as_primitive_opt::<Int64Type>()
        .map(|value| value.value(0))
        .or_else(|| value.as_primitive_opt::<TimestampMicrosecondType>().map(|value| value.value(0)))
        .or_else(|| value.as_primitive_opt::<Date32Type>().map(|value| value.value(0).into()));
    match (min.and_then(unit), value, max.and_then(unit)) {
        (Some(min), Some(value), Some(max)) => between(comparison, &min, &value, &max),
        _ => true,
    }
}

fn between<T: Ord + ?Sized>(comparison: Comparison, min: &T, value: &T, max: &T) -> bool {
    if min > max {
        return true;
    }
    match comparison {
        Comparison::Equal => min <= value && value <= max,
        Comparison::Less => min < value,
        Comparison::LessOrEqual => min <= value,
        Comparison::Greater => max > value,
        Comparison::GreaterOrEqual => max >= value,
        Comparison::NotEqual | Comparison::IsNull | Comparison::IsNotNull => true,
    }
}
