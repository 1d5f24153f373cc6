//! Where each column of a scan comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;

use super::cast::{cast, words};
use super::condition::Condition;
use super::hive;
use super::request::{Column, Natural, Request, ValueType, Wanted};

/// A column and where it comes from.
pub(super) struct Planned {
    pub(super) column: Column,
    pub(super) from: From,
}

/// Where the values come from.
pub(super) enum From {
    /// The file's column of this number.
    File(usize),
    /// The key; it is the same in all rows.
    Key(Option<String>),
    /// The file lacks it.
    Nowhere,
}

/// What is read, and of which rows.
pub(super) struct Plan {
    pub(super) columns: Vec<Planned>,
    pub(super) conditions: Vec<(Planned, Condition)>,
    /// Those that come from the key although the file has them, too.
    pub(super) hidden: Vec<String>,
}

impl Plan {
    /// Plans a scan of a file with this schema. The error is a sentence's end.
    pub(super) fn new(request: &Request, key: &str, schema: &Schema, natural: Natural) -> Result<Self, String> {
        let mut of_key: BTreeMap<String, Option<String>> = BTreeMap::new();
        let in_order = if request.key_columns { hive::columns(key) } else { Vec::new() };
        of_key.extend(in_order.iter().cloned());
        let find = |wanted: &Wanted| {
            let named = |value_type, nullable| Column { name: wanted.name.clone(), value_type, nullable };
            if let Some(value) = of_key.get(&wanted.name) {
                let column = named(wanted.value_type.unwrap_or(ValueType::Text), value.is_none());
                return Ok(Planned { column, from: From::Key(value.clone()) });
            }
            let mut found = schema.fields().iter().enumerate().filter(|(_, field)| *field.name() == wanted.name);
            match (found.next(), found.next()) {
                (Some((index, field)), None) => {
                    let value_type = wanted.value_type.unwrap_or_else(|| natural(field.data_type()));
                    Ok(Planned { column: named(value_type, field.is_nullable()), from: From::File(index) })
                }
                (Some(_), Some(_)) => Err(format!("it has several columns `{}`", wanted.name)),
                (None, _) if wanted.optional => {
                    let column = named(wanted.value_type.unwrap_or(ValueType::Text), true);
                    Ok(Planned { column, from: From::Nowhere })
                }
                (None, _) => Err(format!("it has no column `{}`", wanted.name)),
            }
        };
        let all = || {
            let of_file = schema.fields().iter().map(|field| field.name()).filter(|name| !of_key.contains_key(*name));
            let mut names: Vec<&String> = of_file.collect();
            for (name, _) in &in_order {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            let wanted = |name: &String| Wanted { name: name.clone(), value_type: None, optional: false };
            names.into_iter().map(wanted).collect()
        };
        let wanted: Vec<Wanted> = request.columns.clone().unwrap_or_else(all);
        for (place, twice) in wanted.iter().enumerate() {
            if wanted[..place].iter().any(|before| before.name == twice.name) && request.columns.is_some() {
                return Err(format!("column `{}` is wanted twice", twice.name));
            }
        }
        let mut conditions = Vec::new();
        for predicate in &request.conditions {
            let plain = || Wanted { name: predicate.column.clone(), value_type: None, optional: false };
            let of = wanted.iter().find(|wanted| wanted.name == predicate.column).cloned().unwrap_or_else(plain);
            let planned = find(&of)?;
            let condition = Condition::new(predicate, planned.column.value_type)
                .map_err(|why| format!("the condition on column `{}`: {why}", of.name))?;
            conditions.push((planned, condition));
        }
        let columns: Vec<Planned> = wanted.iter().map(find).collect::<Result<_, _>>()?;
        let planned = columns.iter().chain(conditions.iter().map(|(planned, _)| planned));
        let of_both = planned
            .filter(|planned| matches!(planned.from, From::Key(_)))
            .map(|planned| &planned.column.name)
            .filter(|name| schema.column_with_name(name).is_some());
        let hidden: BTreeSet<String> = of_both.cloned().collect();
        Ok(Self { columns, conditions, hidden: hidden.into_iter().collect() })
    }

    /// The file's columns that are needed, in its order.
    pub(super) fn of_file(&self) -> Vec<usize> {
        let planned = self.columns.iter().chain(self.conditions.iter().map(|(planned, _)| planned));
        let mut needed: Vec<usize> = planned.filter_map(Planned::index).collect();
        needed.sort_unstable();
        needed.dedup();
        needed
    }
}

impl Planned {
    /// The number of the file's column.
    pub(super) fn index(&self) -> Option<usize> {
        if let From::File(index) = self.from { Some(index) } else { None }
    }

    /// Its values, of rows that have the `needed` columns of the file.
    pub(super) fn values(&self, rows: &RecordBatch, needed: &[usize]) -> Result<ArrayRef, ArrowError> {
        let (count, to) = (rows.num_rows(), self.column.value_type);
        let values = match &self.from {
            From::File(index) => {
                let place = needed.iter().position(|needed| needed == index);
                let values = place.and_then(|place| rows.columns().get(place));
                cast(values.ok_or_else(|| ArrowError::SchemaError("a column is missing".into()))?, to)
            }
            From::Key(Some(value)) => {
                let values: ArrayRef = Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, count)));
                cast(&values, to)
            }
            From::Key(None) | From::Nowhere => Ok(new_null_array(&to.arrow(), count)),
        };
        values.map_err(|error| match error {
            ArrowError::MemoryError(_) => error,
            error => ArrowError::CastError(format!("column `{}`: {}", self.column.name, words(error))),
        })
    }
}
