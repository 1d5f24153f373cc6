//! Partition projection: readers work out which partitions there may be, and nobody registers any. Athena has it; its properties
//! are those of the AWS documentation ("Partition projection").

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use time::Date;
use time::format_description::well_known::Iso8601;

use crate::dataset::Part;

/// Says whether a table is projected.
pub(super) const ENABLED: &str = "projection.enabled";

/// Says where the partitions of a projected table lie.
pub(super) const TEMPLATE: &str = "storage.location.template";

/// The values that a partition key may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// Whole numbers from 0 on, filled up with zeros to so many digits.
    Integers {
        /// The least.
        from: u64,
        /// The greatest.
        to: u64,
        /// How many digits each has at least.
        digits: u8,
    },
    /// Days, as `2024-02-29`.
    Days {
        /// The first.
        from: Date,
        /// The last; none is the day on which somebody queries, in UTC.
        to: Option<Date>,
    },
    /// These and no others.
    OneOf(Vec<String>),
}

impl Values {
    /// Those of a part of an instant, as the paths of an output have them. There is no end of years, and each that is looked for
    /// costs readers time, so that somebody has to say which there may be.
    pub fn of(part: Part, years: RangeInclusive<u64>) -> Option<Self> {
        let integers = |from, to, digits| Some(Self::Integers { from, to, digits });
        match part {
            Part::Whole => None,
            Part::Year => integers(*years.start(), *years.end(), 4),
            Part::Month => integers(1, 12, 2),
            Part::Day => integers(1, 31, 2),
            Part::Hour => integers(0, 23, 2),
        }
    }

    /// Whether readers look for this value.
    pub(super) fn has(&self, value: &str) -> bool {
        match self {
            Self::Integers { from, to, digits } => value
                .parse()
                .is_ok_and(|number: u64| (*from..=*to).contains(&number) && value == padded(number, *digits)),
            Self::Days { from, to } => day(value).is_some_and(|day| *from <= day && to.is_none_or(|to| day <= to)),
            Self::OneOf(values) => values.iter().any(|one| one == value),
        }
    }

    /// Whether readers look for all that they would look for with the other.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Integers { from, to, digits }, Self::Integers { from: from2, to: to2, digits: digits2 }) => {
                from <= from2 && to >= to2 && digits == digits2
            }
            (Self::Days { from, to }, Self::Days { from: from2, to: to2 }) => {
                from <= from2 && (to == to2 || to.is_some_and(|to| to2.is_some_and(|to2| to >= to2)))
            }
            (Self::OneOf(values), Self::OneOf(others)) => others.iter().all(|other| values.contains(other)),
            _ => false,
        }
    }

    /// What no reader could look for: the sentence says why.
    pub(super) fn complaint(&self) -> Option<String> {
        match self {
            Self::Integers { from, to, .. } if from > to => Some(format!("{from} is greater than {to}")),
            Self::Days { from, to: Some(to) } if from > to => Some(format!("{from} is later than {to}")),
            Self::OneOf(values) if values.is_empty() => Some("there is none".into()),
            Self::OneOf(values) => values.iter().find(|value| value.is_empty() || value.contains(',')).map(|value| {
                format!("{value:?} cannot be among them: they are separated by commas, and none is empty")
            }),
            Self::Integers { .. } | Self::Days { .. } => None,
        }
    }

    /// As the properties of a table. The key is the column's name.
    pub(super) fn properties(&self, key: &str) -> Vec<(String, String)> {
        let property = |name: &str, value: String| (format!("projection.{key}.{name}"), value);
        match self {
            Self::Integers { from, to, digits } => {
                let range = format!("{from},{to}");
                let own = [property("type", "integer".into()), property("range", range)];
                let digits = (*digits > 1).then(|| property("digits", digits.to_string()));
                own.into_iter().chain(digits).collect()
            }
            Self::Days { from, to } => vec![
                property("type", "date".into()),
                property("format", "yyyy-MM-dd".into()),
                property("range", format!("{from},{}", to.map_or_else(|| "NOW".into(), |to| to.to_string()))),
                property("interval", "1".into()),
                property("interval.unit", "DAYS".into()),
            ],
            Self::OneOf(values) => vec![property("type", "enum".into()), property("values", values.join(","))],
        }
    }

    /// Out of the properties of a table, if they are as [`Values::properties`] gives them.
    pub(super) fn read(key: &str, properties: &BTreeMap<String, String>) -> Option<Self> {
        let property = |name: &str| properties.get(&format!("projection.{key}.{name}")).map(String::as_str);
        let range = || property("range")?.split_once(',');
        let values = match property("type")? {
            "integer" => {
                let (from, to) = range()?;
                let digits = property("digits").map_or(Ok(1), str::parse).ok()?;
                Self::Integers { from: from.parse().ok()?, to: to.parse().ok()?, digits }
            }
            "date" => {
                let (from, to) = range()?;
                Self::Days { from: day(from)?, to: if to == "NOW" { None } else { Some(day(to)?) } }
            }
            "enum" => Self::OneOf(property("values")?.split(',').map(ToOwned::to_owned).collect()),
            _ => return None,
        };
        let all = values.properties(key);
        all.iter().all(|(name, value)| properties.get(name) == Some(value)).then_some(values)
    }
}

fn padded(number: u64, digits: u8) -> String {
    format!("{number:0width$}", width = usize::from(digits))
}

fn day(text: &str) -> Option<Date> {
    let day = Date::parse(text, &Iso8601::DATE).ok()?;
    (day.to_string() == text).then_some(day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn days(from: &str, to: Option<&str>) -> Values {
        Values::Days { from: day(from).unwrap(), to: to.map(|to| day(to).unwrap()) }
    }

    fn hours() -> Values {
        Values::of(Part::Hour, 0..=0).unwrap()
    }

    fn some() -> impl Strategy<Value = Values> {
        let integers = (0_u64..50, 0_u64..50, 1_u8..4);
        let date = |n: i32| Date::from_julian_day(2_460_000 + n).unwrap();
        prop_oneof![
            integers.prop_map(|(from, more, digits)| Values::Integers { from, to: from + more, digits }),
            (0..50_i32, prop::option::of(0..50_i32)).prop_map(move |(from, more)| Values::Days {
                from: date(from),
                to: more.map(|more| date(from + more))
            }),
            prop::collection::vec("[a-c]{1,2}", 1..4).prop_map(Values::OneOf),
        ]
    }

    #[test]
    fn a_table_says_how_its_partitions_are_found() {
        let of = |values: &Values| values.properties("k").into_iter().map(|(name, value)| format!("{name}={value}"));
        let said: Vec<String> = [
            Values::of(Part::Year, 2020..=2040).unwrap(),
            Values::Integers { from: 0, to: 9, digits: 1 },
            days("2020-01-31", None),
            Values::OneOf(vec!["DE".into(), "NL".into()]),
        ]
        .iter()
        .flat_map(of)
        .collect();
        insta::assert_snapshot!(said.join("\n"), @"
        projection.k.type=integer
        projection.k.range=2020,2040
        projection.k.digits=4
        projection.k.type=integer
        projection.k.range=0,9
        projection.k.type=date
        projection.k.format=yyyy-MM-dd
        projection.k.range=2020-01-31,NOW
        projection.k.interval=1
        projection.k.interval.unit=DAYS
        projection.k.type=enum
        projection.k.values=DE,NL
        ");
    }

    #[test]
    fn values_are_padded_as_the_paths_are() {
        assert!(hours().has("00") && hours().has("23"));
        for other in ["0", "24", "000", "+1", "-1", " 1", "", "__HIVE_DEFAULT_PARTITION__"] {
            assert!(!hours().has(other), "{other}");
        }
        assert!(days("2020-02-28", Some("2020-03-01")).has("2020-02-29"));
        assert!(days("2020-02-28", None).has("2999-01-01"));
        for other in ["2020-02-27", "2020-03-02", "2020-2-29", "20200229", "2020-02-30"] {
            assert!(!days("2020-02-28", Some("2020-03-01")).has(other), "{other}");
        }
    }

    #[test]
    fn what_nobody_could_look_for_is_named() {
        for bad in [
            Values::Integers { from: 2, to: 1, digits: 2 },
            days("2020-02-02", Some("2020-02-01")),
            Values::OneOf(vec![]),
            Values::OneOf(vec!["a,b".into()]),
            Values::OneOf(vec![String::new()]),
        ] {
            assert!(bad.complaint().is_some(), "{bad:?}");
        }
        assert_eq!(hours().complaint(), None);
    }

    proptest! {
        #[test]
        fn properties_are_read_as_they_are_written(values in some()) {
            let properties: BTreeMap<_, _> = values.properties("k").into_iter().collect();
            prop_assert_eq!(Values::read("k", &properties), Some(values.clone()));
            prop_assert_eq!(Values::read("other", &properties), None);
            for name in properties.keys() {
                let mut changed = properties.clone();
                changed.insert(name.clone(), "by hand".into());
                prop_assert!(Values::read("k", &changed) != Some(values.clone()), "{}", name);
            }
        }

        #[test]
        fn what_covers_another_has_all_of_it(one in some(), other in some(), number in 0_u64..100, value in "[a-c]{1,2}|[0-9]{1,3}") {
            prop_assert!(one.covers(&one));
            let day = Date::from_julian_day(2_460_000 + number as i32).unwrap().to_string();
            for value in [value, day, number.to_string(), format!("{number:02}")] {
                prop_assert!(!one.covers(&other) || !other.has(&value) || one.has(&value));
            }
        }
    }
}
