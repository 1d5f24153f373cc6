//! The numbers of a NetCDF file, and numpy's arithmetic with them: two types meet in a third one, and integers wrap.

use hdf5_reader::{ByteOrder, Datatype};

/// A type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An integer.
    Int {
        /// How many bits it has: 8, 16, 32 or 64.
        bits: u8,
        /// Whether it may be negative.
        signed: bool,
    },
    /// A number of 32 bits.
    F32,
    /// A number of 64 bits.
    F64,
}

/// A number of any type, exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i128),
    /// A number of 32 or 64 bits.
    Float(f64),
}

use Kind::{F32, F64, Int};

impl Kind {
    /// The type of an HDF5 dataset or attribute; none where its elements are no numbers, or of a size of their own.
    #[must_use]
    pub fn of(datatype: &Datatype) -> Option<(Self, ByteOrder)> {
        match *datatype {
            Datatype::FixedPoint { size: size @ (1 | 2 | 4 | 8), signed, byte_order } => {
                Some((Int { bits: size * 8, signed }, byte_order))
            }
            Datatype::FloatingPoint { size: 4, byte_order } => Some((F32, byte_order)),
            Datatype::FloatingPoint { size: 8, byte_order } => Some((F64, byte_order)),
            _ => None,
        }
    }

    /// How many bytes an element takes.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Int { bits, .. } => usize::from(bits / 8),
            F32 => 4,
            F64 => 8,
        }
    }

    /// The number that these bytes are; none where there are too few.
    #[must_use]
    pub fn read(self, bytes: &[u8], order: ByteOrder) -> Option<Number> {
        let size = self.size();
        let mut little = [0; 8];
        little[..size].copy_from_slice(bytes.get(..size)?);
        if order == ByteOrder::BigEndian {
            little[..size].reverse();
        }
        let bits = u64::from_le_bytes(little);
        Some(match self {
            Int { .. } => Number::Int(i128::from(bits)).wrapped(self),
            F32 => Number::Float(f32::from_bits(bits as u32).into()),
            F64 => Number::Float(f64::from_bits(bits)),
        })
    }

    /// Where numbers of two types meet.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        match (self, other) {
            (F64, _) | (_, F64) => F64,
            (F32, F32) => F32,
            (F32, Int { bits, .. }) | (Int { bits, .. }, F32) => {
                if bits > 16 {
                    F64
                } else {
                    F32
                }
            }
            (Int { bits: a, signed: x }, Int { bits: b, signed: y }) if x == y => Int { bits: a.max(b), signed: x },
            (Int { bits: unsigned, signed: false }, Int { bits: signed, .. })
            | (Int { bits: signed, .. }, Int { bits: unsigned, .. }) => match unsigned {
                _ if unsigned < signed => Int { bits: signed, signed: true },
                64 => F64,
                _ => Int { bits: unsigned * 2, signed: true },
            },
        }
    }

    /// The same type without a sign.
    #[must_use]
    pub fn unsigned(self) -> Self {
        match self {
            Int { bits, .. } => Int { bits, signed: false },
            float => float,
        }
    }
}

impl Number {
    /// The number as one of this type: rounded, or with the upper bits cut off.
    #[must_use]
    pub fn cast(self, kind: Kind) -> Self {
        match (self, kind) {
            (Self::Int(_), Int { .. }) => self.wrapped(kind),
            (Self::Int(integer), F32) => Self::Float((integer as f32).into()),
            (Self::Int(integer), F64) => Self::Float(integer as f64),
            (Self::Float(float), F32) => Self::Float((float as f32).into()),
            (Self::Float(_), F64) => self,
            (Self::Float(float), Int { .. }) => Self::Int(float as i128).wrapped(kind),
        }
    }

    /// The number in this type, where that is the same number.
    #[must_use]
    pub fn exactly(self, kind: Kind) -> Option<Self> {
        let cast = self.cast(kind);
        (cast.same(self)).then_some(cast)
    }

    /// Whether the two are one number, or both none.
    #[must_use]
    pub fn same(self, other: Self) -> bool {
        self.is_nan() && other.is_nan() || self.compare(other).is_some_and(|order| order.is_eq())
    }

    /// How the two compare; none where one is no number.
    #[must_use]
    pub fn compare(self, other: Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        }
    }

    /// The product of two numbers of this type.
    #[must_use]
    pub fn times(self, other: Self, kind: Kind) -> Self {
        match (self.cast(kind), other.cast(kind)) {
            (Self::Int(a), Self::Int(b)) => Self::Int(a.wrapping_mul(b)).wrapped(kind),
            // The product of two numbers of 32 bits is exact in 64, and is rounded once.
            (a, b) => Self::Float(a.float() * b.float()).cast(kind),
        }
    }

    /// The sum of two numbers of this type.
    #[must_use]
    pub fn plus(self, other: Self, kind: Kind) -> Self {
        match (self.cast(kind), other.cast(kind)) {
            (Self::Int(a), Self::Int(b)) => Self::Int(a + b).wrapped(kind),
            // In 32 bits, as the machine does it: a sum that is rounded to 64 bits first may be rounded twice.
            (a, b) if kind == F32 => Self::Float((a.float() as f32 + b.float() as f32).into()),
            (a, b) => Self::Float(a.float() + b.float()),
        }
    }

    /// The nearest number of 64 bits.
    #[must_use]
    pub fn float(self) -> f64 {
        match self {
            Self::Int(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }

    fn is_nan(self) -> bool {
        matches!(self, Self::Float(float) if float.is_nan())
    }

    fn wrapped(self, kind: Kind) -> Self {
        match (self, kind) {
            (Self::Int(integer), Int { bits, signed }) => {
                let above = 128 - u32::from(bits);
                Self::Int(match signed {
                    true => integer << above >> above,
                    false => ((integer as u128) << above >> above) as i128,
                })
            }
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn int(bits: u8, signed: bool) -> Kind {
        Int { bits, signed }
    }

    proptest! {
        #[test]
        fn arithmetic_is_that_of_the_machine(a: i16, b: i16, x: f32, y: f32) {
            let integer = |n: i16| Number::Int(n.into());
            let float = |n: f32| Number::Float(n.into());
            prop_assert_eq!(integer(a).times(integer(b), int(16, true)), integer(a.wrapping_mul(b)));
            prop_assert_eq!(integer(a).plus(integer(b), int(16, true)), integer(a.wrapping_add(b)));
            prop_assert!(integer(a).times(float(x), F32).same(float(f32::from(a) * x)));
            prop_assert!(float(x).plus(float(y), F32).same(float(x + y)));
            prop_assert!(float(x).times(float(y), F64).same(Number::Float(f64::from(x) * f64::from(y))));
        }

        #[test]
        fn bytes_are_read_in_both_orders(a: i32, b: u64, c: f32) {
            for (kind, bytes, number) in [
                (int(32, true), a.to_le_bytes().to_vec(), Number::Int(a.into())),
                (int(64, false), b.to_le_bytes().to_vec(), Number::Int(b.into())),
                (F32, c.to_le_bytes().to_vec(), Number::Float(c.into())),
            ] {
                let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
                for (bytes, order) in [(&bytes, ByteOrder::LittleEndian), (&reversed, ByteOrder::BigEndian)] {
                    prop_assert!(kind.read(bytes, order).unwrap().same(number));
                    prop_assert!(kind.read(&bytes[1..], order).is_none());
                }
            }
        }

        #[test]
        fn two_types_meet_in_the_same_one_either_way(a in kinds(), b in kinds()) {
            prop_assert_eq!(a.with(b), b.with(a));
            prop_assert_eq!(a.with(a), a);
        }

        #[test]
        fn what_is_exact_comes_back(kind in kinds(), number in any::<i64>()) {
            let number = Number::Int(number.into());
            if let Some(exact) = number.exactly(kind) {
                prop_assert!(exact.same(number));
            } else {
                prop_assert!(!number.cast(kind).same(number));
            }
        }
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        let integers = (3_u32..7, any::<bool>()).prop_map(|(power, signed)| int(1 << power, signed));
        prop_oneof![integers, Just(F32), Just(F64)]
    }

    #[test]
    fn types_meet_where_numpy_has_them_meet() {
        for (a, b, both) in [
            (int(16, true), F32, F32),
            (int(32, true), F32, F64),
            (int(16, true), F64, F64),
            (int(16, true), int(16, false), int(32, true)),
            (int(64, true), int(64, false), F64),
            (int(32, true), int(8, false), int(32, true)),
        ] {
            assert_eq!(a.with(b), both);
        }
    }
}
