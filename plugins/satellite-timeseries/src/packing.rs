//! From what lies in a file to what it means: the rules of Python's netCDF4, value for value.

use crate::number::{Kind, Number};

/// An attribute of a variable, where there is one.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Attribute {
    /// The variable has no such attribute.
    #[default]
    Absent,
    /// Its numbers and their type.
    Numbers(Kind, Vec<Number>),
    /// A text.
    Text(String),
}

/// What a variable's attributes say of its values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    /// `_FillValue`
    pub fill_value: Attribute,
    /// `missing_value`
    pub missing_value: Attribute,
    /// `valid_range`
    pub valid_range: Attribute,
    /// `valid_min`
    pub valid_min: Attribute,
    /// `valid_max`
    pub valid_max: Attribute,
    /// `scale_factor`
    pub scale_factor: Attribute,
    /// `add_offset`
    pub add_offset: Attribute,
    /// `_Unsigned`
    pub unsigned: Attribute,
}

/// How the values of a variable are unpacked.
#[derive(Clone, Debug, PartialEq)]
pub struct Packing {
    /// How they lie in the file, without a sign where `_Unsigned` says so.
    kind: Kind,
    /// What stands for no value.
    none: Vec<Number>,
    least: Option<Number>,
    most: Option<Number>,
    scale: Option<(Kind, Number)>,
    offset: Option<(Kind, Number)>,
}

impl Packing {
    /// The packing of a variable of this type. `fills` says whether HDF5 has a fill value of the variable's own.
    ///
    /// # Errors
    /// Says which attribute cannot be used. One that does not fit the variable's type counts as absent.
    pub fn new(kind: Kind, attributes: &Attributes, fills: bool) -> Result<Self, String> {
        let unsigned = matches!(&attributes.unsigned, Attribute::Text(text) if text == "true" || text == "True");
        let packed = if unsigned { kind.unsigned() } else { kind };
        // Numbers of the variable's own type, seen as its values are.
        let fitting = |attribute: &Attribute| match attribute {
            Attribute::Numbers(_, numbers) => {
                let exact: Option<Vec<_>> = numbers.iter().map(|number| number.exactly(kind)).collect();
                exact.map(|numbers| numbers.into_iter().map(|number| number.cast(packed)).collect::<Vec<_>>())
            }
            _ => None,
        };
        let mut none = fitting(&attributes.missing_value).unwrap_or_default();
        match fitting(&attributes.fill_value) {
            Some(fill_values) => none.extend(fill_values.first()),
            // Bytes are too few for one of them to mean nothing unasked.
            None if fills || kind.size() > 1 => none.push(default_fill(kind)),
            None => {}
        }
        let (least, most) = match fitting(&attributes.valid_range).as_deref() {
            Some(&[least, most]) => (Some(least), Some(most)),
            _ => {
                let first = |attribute| fitting(attribute).and_then(|numbers| numbers.first().copied());
                (first(&attributes.valid_min), first(&attributes.valid_max))
            }
        };
        let scale = factor("scale_factor", &attributes.scale_factor)?;
        let offset = factor("add_offset", &attributes.add_offset)?;
        let (scale, offset) = match (scale, offset) {
            // One that is no single number makes both void.
            (Factor::Void, _) | (_, Factor::Void) => (None, None),
            (scale, offset) => (scale.number(), offset.number()),
        };
        Ok(Self { kind: packed, none, least, most, scale, offset })
    }

    /// What a number of the file means; none where it means nothing, or is not finite.
    #[must_use]
    pub fn unpack(&self, number: Number) -> Option<f64> {
        let number = number.cast(self.kind);
        let masked = self.none.iter().any(|none| none.same(number))
            || self.least.is_some_and(|least| number.compare(least).is_some_and(|order| order.is_lt()))
            || self.most.is_some_and(|most| number.compare(most).is_some_and(|order| order.is_gt()));
        if masked {
            return None;
        }
        let is = |number: Number, what: i128| number.same(Number::Int(what));
        let value = match (self.scale, self.offset) {
            (Some((scale_kind, scale)), Some((offset_kind, offset))) => {
                if is(scale, 1) && is(offset, 0) {
                    number.cast(scale_kind)
                } else {
                    let product = self.kind.with(scale_kind);
                    number.times(scale, product).plus(offset, product.with(offset_kind))
                }
            }
            (Some((kind, scale)), None) if !is(scale, 1) => number.times(scale, self.kind.with(kind)),
            (None, Some((kind, offset))) if !is(offset, 0) => number.plus(offset, self.kind.with(kind)),
            _ => number,
        };
        Some(value.float()).filter(|value| value.is_finite())
    }
}

enum Factor {
    Absent,
    Void,
    One(Kind, Number),
}

impl Factor {
    fn number(self) -> Option<(Kind, Number)> {
        match self {
            Self::One(kind, number) => Some((kind, number)),
            _ => None,
        }
    }
}

fn factor(name: &str, attribute: &Attribute) -> Result<Factor, String> {
    match attribute {
        Attribute::Absent => Ok(Factor::Absent),
        Attribute::Numbers(kind, numbers) => match numbers[..] {
            [number] => Ok(Factor::One(*kind, number)),
            _ => Ok(Factor::Void),
        },
        Attribute::Text(text) if text.trim().parse::<f64>().is_err() => Ok(Factor::Void),
        Attribute::Text(text) => Err(format!("the attribute `{name}` is the text {text:?} and not a number")),
    }
}

/// What netCDF writes where nothing was written.
fn default_fill(kind: Kind) -> Number {
    match kind {
        Kind::F32 | Kind::F64 => Number::Float(f64::from_bits(0x479e_0000_0000_0000)),
        Kind::Int { bits: 64, signed: true } => Number::Int(-9_223_372_036_854_775_806),
        Kind::Int { bits: 64, signed: false } => Number::Int(18_446_744_073_709_551_614),
        Kind::Int { bits, signed: true } => Number::Int(1 - (1 << (bits - 1))),
        Kind::Int { bits, signed: false } => Number::Int((1 << bits) - 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHORT: Kind = Kind::Int { bits: 16, signed: true };
    const BYTE: Kind = Kind::Int { bits: 8, signed: true };

    fn short(number: i16) -> Attribute {
        Attribute::Numbers(SHORT, vec![Number::Int(number.into())])
    }

    fn double(number: f64) -> Attribute {
        Attribute::Numbers(Kind::F64, vec![Number::Float(number)])
    }

    fn unpacked(kind: Kind, attributes: &Attributes, number: i128) -> Option<f64> {
        Packing::new(kind, attributes, false).unwrap().unpack(Number::Int(number))
    }

    proptest! {
        #[test]
        fn what_is_valid_is_scaled_and_the_rest_is_nothing(packed: i16, low: i16, high: i16, fill: i16, missing: i16) {
            let attributes = Attributes {
                fill_value: short(fill),
                missing_value: short(missing),
                valid_min: short(low),
                valid_max: short(high),
                scale_factor: double(0.1),
                ..Attributes::default()
            };
            let valid = (low..=high).contains(&packed) && packed != fill && packed != missing;
            let expected = valid.then(|| f64::from(packed) * 0.1);
            prop_assert_eq!(unpacked(SHORT, &attributes, packed.into()), expected);
        }

        #[test]
        fn a_factor_of_32_bits_is_applied_in_32_bits(packed in -30_000_i16..30_000, factor: f32, offset: f32) {
            let float = |number: f32| Attribute::Numbers(Kind::F32, vec![Number::Float(number.into())]);
            let attributes = Attributes { scale_factor: float(factor), add_offset: float(offset), ..Attributes::default() };
            let expected = f32::from(packed) * factor + offset;
            prop_assert_eq!(unpacked(SHORT, &attributes, packed.into()), expected.is_finite().then(|| expected.into()));
        }
    }

    #[test]
    fn without_a_fill_value_the_types_own_means_nothing() {
        let none = Attributes::default();
        assert_eq!((unpacked(SHORT, &none, -32_767), unpacked(SHORT, &none, -1)), (None, Some(-1.0)));
        assert_eq!(unpacked(BYTE, &none, -127), Some(-127.0));
        assert_eq!(Packing::new(BYTE, &none, true).unwrap().unpack(Number::Int(-127)), None);
        let float = Packing::new(Kind::F32, &none, true).unwrap();
        assert_eq!(float.unpack(Number::Float(9.969_209_968_386_869e36)), None);
        assert_eq!(float.unpack(Number::Float(f64::NAN)), None);
    }

    #[test]
    fn an_attribute_that_does_not_fit_the_type_counts_as_absent() {
        let attributes = Attributes { fill_value: double(-0.5), valid_max: double(1e6), ..Attributes::default() };
        assert_eq!(unpacked(SHORT, &attributes, -32_767), None);
        assert_eq!(unpacked(SHORT, &attributes, 30_000), Some(30_000.0));
        let fits = Attributes { fill_value: double(-7.0), ..Attributes::default() };
        assert_eq!((unpacked(SHORT, &fits, -7), unpacked(SHORT, &fits, -32_767)), (None, Some(-32_767.0)));
    }

    #[test]
    fn unsigned_values_are_seen_without_their_sign() {
        let attributes = Attributes {
            unsigned: Attribute::Text("true".into()),
            fill_value: short(-1),
            valid_max: short(-2),
            scale_factor: double(0.5),
            ..Attributes::default()
        };
        assert_eq!(unpacked(SHORT, &attributes, -1), None);
        assert_eq!(unpacked(SHORT, &attributes, -2), Some(32_767.0));
    }

    #[test]
    fn factors_that_are_no_single_numbers_are_void_or_refused() {
        let pair = Attribute::Numbers(Kind::F64, vec![Number::Float(2.0), Number::Float(3.0)]);
        let void = Attributes { scale_factor: pair, add_offset: double(5.0), ..Attributes::default() };
        assert_eq!(unpacked(SHORT, &void, 7), Some(7.0));
        let text = |text: &str| Attributes { scale_factor: Attribute::Text(text.into()), ..Attributes::default() };
        assert_eq!(unpacked(SHORT, &text("none"), 7), Some(7.0));
        let refused = Packing::new(SHORT, &text("0.1"), false).unwrap_err();
        assert_eq!(refused, "the attribute `scale_factor` is the text \"0.1\" and not a number");
    }
}
