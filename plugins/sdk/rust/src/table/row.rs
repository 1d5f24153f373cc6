//! A serializer of ours that lays a row's fields down in columns.

use std::fmt;

use serde::ser::{self, Impossible, Serialize, SerializeMap, SerializeStruct, Serializer};

use super::Type;
use super::column::Column;
use super::instant::{DATE, TIMESTAMP};

/// Why a value has no place.
#[derive(Debug)]
pub(super) enum Refused {
    /// A row that is a single value, or a value that has a structure.
    Structure,
    Because(String),
}

/// Adds a row to columns that have so many, and gives the bytes that they have now. A row that is refused leaves nothing.
pub(super) fn push<T: Serialize>(columns: &mut Vec<Column>, rows: usize, row: &T) -> Result<usize, Refused> {
    let mut fields = Fields { columns, rows, next: 0, key: String::new() };
    let pushed = row.serialize(Place { fields: &mut fields, name: None, kind: None });
    finish(columns, rows, pushed)
}

fn finish(columns: &mut [Column], rows: usize, pushed: Result<(), Refused>) -> Result<usize, Refused> {
    let mut bytes = 0;
    for column in columns {
        match (&pushed, column.rows > rows) {
            (Ok(()), false) => column.null(),
            (Err(_), true) => column.pop(),
            _ => {}
        }
        bytes += column.bytes();
    }
    pushed.map(|()| bytes)
}

/// The fields of one row.
struct Fields<'a> {
    columns: &'a mut Vec<Column>,
    /// How many rows came before.
    rows: usize,
    /// Where the next field is, if the rows are alike.
    next: usize,
    /// The key of a map whose value comes next.
    key: String,
}

impl Fields<'_> {
    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Refused> {
        match value.serialize(Place { fields: self, name: Some(name), kind: None }) {
            Err(Refused::Structure) => {
                let column = self.column(name, Type::Json)?;
                match serde_json::to_writer(&mut column.values, value) {
                    Ok(()) => column.text_ends(),
                    Err(error) => {
                        // The text has begun: ended, it goes with its row.
                        column.text_ends();
                        return Err(Refused::Because(error.to_string()));
                    }
                }
                Ok(())
            }
            done => done,
        }
    }

    /// Passes over a null: what has no value at the end of the row is null.
    fn pass(&mut self, name: &str) {
        if self.columns.get(self.next).is_some_and(|column| column.name == name) {
            self.next += 1;
        }
    }

    /// The column of a value. One that is new was null until now.
    fn column(&mut self, name: &str, kind: Type) -> Result<&mut Column, Refused> {
        let is_it = |column: &Column| column.name == name;
        let at = match self.columns.get(self.next) {
            Some(column) if is_it(column) => self.next,
            _ => self.columns.iter().position(is_it).unwrap_or(self.columns.len()),
        };
        if at == self.columns.len() {
            let mut column = Column::new(name, kind);
            (0..self.rows).for_each(|_| column.null());
            self.columns.push(column);
        }
        self.next = at + 1;
        let column = &mut self.columns[at];
        if column.rows > self.rows {
            return Err(Refused::Because(format!("it has {name} twice")));
        }
        if column.kind != kind {
            let before = column.kind;
            return Err(Refused::Because(format!("{name} is {kind:?} here, and was {before:?} in a row before")));
        }
        Ok(column)
    }
}

/// Refuses what has a structure.
macro_rules! structures {
    ($($method:ident($($argument:ty),*) -> $result:ty;)*) => { $(
        fn $method(self, $(_: $argument),*) -> Result<$result, Refused> {
            Err(Refused::Structure)
        }
    )* };
}

/// Integers of all widths.
macro_rules! integers {
    ($($method:ident $number:ty)*) => { $(
        fn $method(self, value: $number) -> Result<(), Refused> {
            self.integer(i64::from(value))
        }
    )* };
}

/// Where a value goes: into the column of this name, or without one it is the row itself.
struct Place<'a, 'b> {
    fields: &'a mut Fields<'b>,
    name: Option<&'a str>,
    /// What an integer stands for.
    kind: Option<Type>,
}

impl<'a, 'b> Place<'a, 'b> {
    fn column(&mut self, kind: Type) -> Result<&mut Column, Refused> {
        self.fields.column(self.name.ok_or(Refused::Structure)?, kind)
    }

    fn row(self) -> Result<&'a mut Fields<'b>, Refused> {
        if self.name.is_none() { Ok(self.fields) } else { Err(Refused::Structure) }
    }

    fn integer(mut self, value: i64) -> Result<(), Refused> {
        let kind = self.kind.unwrap_or(Type::Int64);
        let column = self.column(kind)?;
        match kind {
            // A day has 32 bits, whatever was made of it on its way here.
            Type::Date => column.fixed(&(value as i32).to_le_bytes()),
            _ => column.fixed(&value.to_le_bytes()),
        }
        Ok(())
    }
}

impl<'a, 'b> Serializer for Place<'a, 'b> {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Impossible<(), Refused>;
    type SerializeTuple = Impossible<(), Refused>;
    type SerializeTupleStruct = Impossible<(), Refused>;
    type SerializeTupleVariant = Impossible<(), Refused>;
    type SerializeMap = &'a mut Fields<'b>;
    type SerializeStruct = &'a mut Fields<'b>;
    type SerializeStructVariant = Impossible<(), Refused>;

    integers! {
        serialize_i8 i8
        serialize_i16 i16
        serialize_i32 i32
        serialize_i64 i64
        serialize_u8 u8
        serialize_u16 u16
        serialize_u32 u32
    }

    fn serialize_u64(self, value: u64) -> Result<(), Refused> {
        match i64::try_from(value) {
            Ok(value) => self.integer(value),
            Err(_) => Err(Refused::Because(format!("{value} is more than an integer of 64 bits with a sign has"))),
        }
    }

    fn serialize_bool(mut self, value: bool) -> Result<(), Refused> {
        self.column(Type::Boolean)?.bool(value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Refused> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(mut self, value: f64) -> Result<(), Refused> {
        let column = self.column(Type::Float64)?;
        if value.is_finite() {
            column.fixed(&value.to_le_bytes())
        } else {
            column.null()
        }
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Refused> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(mut self, value: &str) -> Result<(), Refused> {
        self.column(Type::Text)?.text(value.as_bytes());
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Refused> {
        self.fields.pass(self.name.ok_or(Refused::Structure)?);
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), Refused> {
        self.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refused> {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Refused> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), Refused> {
        let kind = match name {
            DATE => Some(Type::Date),
            TIMESTAMP => Some(Type::Timestamp),
            _ => self.kind,
        };
        value.serialize(Place { kind, ..self })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Refused> {
        Err(Refused::Structure)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Refused> {
        self.row()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Refused> {
        self.row()
    }

    structures! {
        serialize_bytes(&[u8]) -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    /// Dates and instants are numbers here.
    fn is_human_readable(&self) -> bool {
        false
    }
}

impl SerializeStruct for &mut Fields<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Refused> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Refused> {
        Ok(())
    }
}

impl SerializeMap for &mut Fields<'_> {
    type Ok = ();
    type Error = Refused;

    /// A key is read as a value is: it has to make a column of texts.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        let mut columns = Vec::new();
        Fields { columns: &mut columns, rows: 0, next: 0, key: String::new() }.field("", key)?;
        let text = columns.pop().filter(|column| column.kind == Type::Text).map(|column| column.values);
        let key = text.and_then(|text| String::from_utf8(text).ok());
        self.key = key.ok_or_else(|| Refused::Because("a key of it is no text".into()))?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        let key = std::mem::take(&mut self.key);
        self.field(&key, value)
    }

    fn end(self) -> Result<(), Refused> {
        Ok(())
    }
}

impl ser::Error for Refused {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Because(message.to_string())
    }
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Structure => f.write_str("it is no struct and no map"),
            Self::Because(why) => f.write_str(why),
        }
    }
}
