//! Which rows meet a condition.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BooleanArray, Float64Array, Int64Array, Scalar, StringArray};
use arrow::compute::kernels::cmp;
use arrow::compute::{is_not_null, is_null};
use arrow::datatypes::Float64Type;
use arrow::error::ArrowError;

use super::cast::{cast, words};
use super::request::{Comparison, Literal, Predicate, ValueType};

/// A condition whose literal has the column's type.
#[derive(Clone)]
pub(super) struct Condition {
    pub(super) comparison: Comparison,
    /// One value; none for the two that ask for nulls.
    pub(super) value: Option<ArrayRef>,
}

impl Condition {
    /// Refuses, in a sentence's end, what cannot be compared.
    pub(super) fn new(predicate: &Predicate, column: ValueType) -> Result<Self, String> {
        let comparison = predicate.comparison;
        let value = match (comparison, &predicate.value) {
            (Comparison::IsNull | Comparison::IsNotNull, None) => None,
            (Comparison::IsNull | Comparison::IsNotNull, Some(_)) => return Err("it takes no value".into()),
            (_, None) => return Err("it needs a value to compare with".into()),
            (_, Some(_)) if column == ValueType::Json => return Err("JSON can only be null or not".into()),
            (_, Some(literal)) => Some(cast(&one(literal), column).map_err(words)?),
        };
        Ok(Self { comparison, value })
    }

    /// Whether each value meets it. Null means no.
    pub(super) fn mask(&self, values: &ArrayRef) -> Result<BooleanArray, ArrowError> {
        let Some(value) = &self.value else {
            return if self.comparison == Comparison::IsNull { is_null(values) } else { is_not_null(values) };
        };
        if let (Some(values), Some(value)) =
            (values.as_primitive_opt::<Float64Type>(), value.as_primitive_opt::<Float64Type>())
        {
            return Ok(floats(values, value.value(0), self.comparison));
        }
        let value = Scalar::new(value.clone());
        match self.comparison {
            Comparison::Equal => cmp::eq(values, &value),
            Comparison::NotEqual => cmp::neq(values, &value),
            Comparison::Less => cmp::lt(values, &value),
            Comparison::LessOrEqual => cmp::lt_eq(values, &value),
            Comparison::Greater => cmp::gt(values, &value),
            Comparison::GreaterOrEqual => cmp::gt_eq(values, &value),
            Comparison::IsNull => is_null(values),
            Comparison::IsNotNull => is_not_null(values),
        }
    }
}

/// As IEEE 754 compares: Arrow's own order has NaN equal to itself, and -0 below 0.
fn floats(values: &Float64Array, with: f64, comparison: Comparison) -> BooleanArray {
    #[expect(clippy::float_cmp, reason = "equality is what was asked for")]
    let meets = |value: f64| match comparison {
        Comparison::Equal => value == with,
        Comparison::NotEqual => value != with,
        Comparison::Less => value < with,
        Comparison::LessOrEqual => value <= with,
        Comparison::Greater => value > with,
        Comparison::GreaterOrEqual => value >= with,
        Comparison::IsNull | Comparison::IsNotNull => false,
    };
    BooleanArray::from_unary(values, meets)
}

fn one(literal: &Literal) -> ArrayRef {
    match literal {
        Literal::Boolean(value) => Arc::new(BooleanArray::from(vec![*value])),
        Literal::Int64(value) => Arc::new(Int64Array::from(vec![*value])),
        Literal::Float64(value) => Arc::new(Float64Array::from(vec![*value])),
        Literal::Text(value) => Arc::new(StringArray::from(vec![value.as_str()])),
    }
}
