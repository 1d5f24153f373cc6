//! Row groups and pages that cannot have a row that meets a condition, by their statistics: only where these can be trusted.
//! Floating-point numbers hide NaN, decimals and unsigned numbers were ordered in wrong ways by old writers.

use arrow::array::{ArrayRef, AsArray as _};
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::{ColumnOrder, SortOrder, Type};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use super::super::cast::natural;
use super::super::condition::Condition;
use super::super::plan::{Plan, Planned};
use super::super::request::Comparison;
use super::index::Bounds;

/// A condition on a column of the file that is not cast to another type than the one that follows from it.
pub(super) struct Prunable {
    condition: Condition,
    value: ArrayRef,
    file_type: DataType,
    physical: Type,
    /// The column's number among the leaves.
    pub(super) leaf: usize,
    /// Whether the file says that its indexes have the order that is compared by.
    pub(super) is_ordered: bool,
}

impl Prunable {
    /// The conditions of a plan by which something may be left out.
    pub(super) fn all(plan: &Plan, metadata: &ArrowReaderMetadata) -> Vec<Self> {
        let of_file = metadata.parquet_schema();
        let orders = metadata.metadata().file_metadata().column_orders();
        let one = |(planned, condition): &(Planned, Condition)| {
            let (root, value) = (planned.index()?, condition.value.clone()?);
            let file_type = metadata.schema().field(root).data_type().clone();
            if file_type.is_nested() || natural(&file_type) != planned.column.value_type {
                return None;
            }
            let leaf = (0..of_file.num_columns()).find(|leaf| of_file.get_column_root_idx(*leaf) == root)?;
            let physical = of_file.column(leaf).physical_type();
            let wanted = if physical == Type::BYTE_ARRAY { SortOrder::UNSIGNED } else { SortOrder::SIGNED };
            let order = orders.and_then(|orders| orders.get(leaf));
            let is_ordered = order == Some(&ColumnOrder::TYPE_DEFINED_ORDER(wanted));
            Some(Self { condition: condition.clone(), value, file_type, physical, leaf, is_ordered })
        };
        plan.conditions.iter().filter_map(one).collect()
    }

    /// Whether a row group may have rows that meet the condition.
    pub(super) fn in_group(&self, group: &RowGroupMetaData) -> bool {
        let Some(statistics) = group.column(self.leaf).statistics().filter(|all| !all.is_min_max_deprecated()) else {
            return true;
        };
        match statistics {
            Statistics::Int32(of) => self.whole(of.min_opt().map(|n| (*n).into()), of.max_opt().map(|n| (*n).into())),
            Statistics::Int64(of) => self.whole(of.min_opt().copied(), of.max_opt().copied()),
            Statistics::ByteArray(of) => match (of.min_opt(), of.max_opt()) {
                (Some(min), Some(max)) => self.text(min.data(), max.data()),
                _ => true,
            },
            _ => true,
        }
    }

    /// Whether a page may have rows that meet the condition.
    pub(super) fn in_page(&self, bounds: Bounds<'_>) -> bool {
        match (bounds, self.physical) {
            // There is a value to compare with, and a null compares with nothing.
            (Bounds::Nulls, _) => false,
            (Bounds::Between(min, max), Type::INT32) => {
                let number = |bytes: &[u8]| bytes.try_into().ok().map(|bytes| i32::from_le_bytes(bytes).into());
                self.whole(number(min), number(max))
            }
            (Bounds::Between(min, max), Type::INT64) => {
                let number = |bytes: &[u8]| bytes.try_into().ok().map(i64::from_le_bytes);
                self.whole(number(min), number(max))
            }
            (Bounds::Between(min, max), Type::BYTE_ARRAY) => self.text(min, max),
            _ => true,
        }
    }

    /// Whether a Bloom filter can answer the condition: one for equality with a value that the file stores as it is.
    pub(super) fn is_for_bloom(&self) -> bool {
        let is_plain = matches!(
            self.file_type,
            DataType::Int32
                | DataType::Int64
                | DataType::Date32
                | DataType::Utf8View
                | DataType::Timestamp(TimeUnit::Microsecond, _)
        );
        self.condition.comparison == Comparison::Equal && is_plain
    }

    /// Whether there may be the value, by the Bloom filter of its column.
    pub(super) fn in_bloom(&self, filter: &Sbbf) -> bool {
        match self.physical {
            Type::INT32 => self.number().is_none_or(|n| i32::try_from(n).is_ok_and(|n| filter.check(&n))),
            Type::INT64 => self.number().is_none_or(|n| filter.check(&n)),
            _ => self.value.as_string_opt::<i32>().is_none_or(|value| filter.check(value.value(0))),
        }
    }

    /// Numbers, days and instants, in the unit that blocks have.
    fn whole(&self, min: Option<i64>, max: Option<i64>) -> bool {
        let unit = |bound: i64| match self.file_type {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Date32 => Some(bound),
            DataType::Timestamp(TimeUnit::Millisecond, _) => bound.checked_mul(1_000),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Some(bound),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(bound.div_euclid(1_000)),
            _ => None,
        };
        match (min.and_then(unit), self.number(), max.and_then(unit)) {
            (Some(min), Some(value), Some(max)) => between(self.condition.comparison, &min, &value, &max),
            _ => true,
        }
    }

    fn number(&self) -> Option<i64> {
        let value = &self.value;
        let whole = value.as_primitive_opt::<Int64Type>().map(|value| value.value(0));
        whole
            .or_else(|| value.as_primitive_opt::<TimestampMicrosecondType>().map(|value| value.value(0)))
            .or_else(|| value.as_primitive_opt::<Date32Type>().map(|value| value.value(0).into()))
    }

    /// Cut texts are bounds all the same.
    fn text(&self, min: &[u8], max: &[u8]) -> bool {
        if self.file_type != DataType::Utf8View {
            return true;
        }
        let value = self.value.as_string_opt::<i32>();
        value.is_none_or(|value| between(self.condition.comparison, min, value.value(0).as_bytes(), max))
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
