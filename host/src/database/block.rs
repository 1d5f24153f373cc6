//! Rows as the server sends them (binary format), as columns of Arrow.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::typed::Read;

/// The days from Arrow's epoch (1970) to PostgreSQL's (2000).
const EPOCH_DAYS: i64 = 10_957;
const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// 0001-01-01 to 9999-12-31, in days since 1970: the years of RFC 3339, and of every language that plugins are written in.
const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;

/// The bytes of a value; none for a null.
struct Raw<'r>(Option<&'r [u8]>);

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(_: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// One column of these rows. An error says what is wrong with a value of it.
pub(super) fn column(rows: &[Row], place: usize, read: Read) -> Result<ArrayRef, String> {
    let cells = || rows.iter().map(|row| row.try_get::<_, Raw<'_>>(place).map(|raw| raw.0).map_err(words));
    let len = rows.len();
    Ok(match read {
        Read::Boolean => {
            let mut values = BooleanBuilder::with_capacity(len);
            each(cells(), |cell| {
                values.append_option(cell.map(fixed::<1>).transpose()?.map(|[byte]| byte != 0));
                Ok(())
            })?;
            Arc::new(values.finish())
        }
        Read::Int16 => whole(cells(), len, |bytes| Ok(i16::from_be_bytes(bytes).into()))?,
        Read::Int32 => whole(cells(), len, |bytes| Ok(i32::from_be_bytes(bytes).into()))?,
        Read::Int64 => whole(cells(), len, |bytes| Ok(i64::from_be_bytes(bytes)))?,
        Read::Oid => whole(cells(), len, |bytes| Ok(u32::from_be_bytes(bytes).into()))?,
        Read::Float32 => float(cells(), len, |bytes| f32::from_be_bytes(bytes).into())?,
        Read::Float64 => float(cells(), len, f64::from_be_bytes)?,
        Read::Text => text(cells(), len, Ok)?,
        Read::Jsonb => text(cells(), len, |bytes| match bytes {
            [1, json @ ..] => Ok(json),
            _ => Err("its `jsonb` has a version that is not known here".into()),
        })?,
        Read::Binary => {
            let mut values = BinaryBuilder::with_capacity(len, 0);
            each(cells(), |cell| {
                values.append_option(cell);
                Ok(())
            })?;
            Arc::new(values.finish())
        }
        Read::Uuid => {
            let mut values = StringBuilder::with_capacity(len, 36 * len);
            each(cells(), |cell| {
                values.append_option(cell.map(uuid).transpose()?);
                Ok(())
            })?;
            Arc::new(values.finish())
        }
        Read::Date => {
            let mut values = Date32Builder::with_capacity(len);
            each(cells(), |cell| {
                values.append_option(cell.map(fixed).transpose()?.map(date).transpose()?);
                Ok(())
            })?;
            Arc::new(values.finish())
        }
        Read::Timestamp => {
            let mut values = TimestampMicrosecondBuilder::with_capacity(len);
            each(cells(), |cell| {
                values.append_option(cell.map(fixed).transpose()?.map(instant).transpose()?);
                Ok(())
            })?;
            Arc::new(values.finish().with_timezone("UTC"))
        }
    })
}

fn each<'r>(
    cells: impl Iterator<Item = Result<Option<&'r [u8]>, String>>,
    mut take: impl FnMut(Option<&'r [u8]>) -> Result<(), String>,
) -> Result<(), String> {
    for cell in cells {
        take(cell?)?;
    }
    Ok(())
}

fn whole<'r, const N: usize>(
    cells: impl Iterator<Item = Result<Option<&'r [u8]>, String>>,
    len: usize,
    read: impl Fn([u8; N]) -> Result<i64, String>,
) -> Result<ArrayRef, String> {
    let mut values = Int64Builder::with_capacity(len);
    each(cells, |cell| {
        values.append_option(cell.map(fixed).transpose()?.map(&read).transpose()?);
        Ok(())
    })?;
    Ok(Arc::new(values.finish()))
}

fn float<'r, const N: usize>(
    cells: impl Iterator<Item = Result<Option<&'r [u8]>, String>>,
    len: usize,
    read: impl Fn([u8; N]) -> f64,
) -> Result<ArrayRef, String> {
    let mut values = Float64Builder::with_capacity(len);
    each(cells, |cell| {
        values.append_option(cell.map(fixed).transpose()?.map(&read));
        Ok(())
    })?;
    Ok(Arc::new(values.finish()))
}

fn text<'r>(
    cells: impl Iterator<Item = Result<Option<&'r [u8]>, String>>,
    len: usize,
    read: impl Fn(&'r [u8]) -> Result<&'r [u8], String>,
) -> Result<ArrayRef, String> {
    let mut values = StringBuilder::with_capacity(len, 0);
    each(cells, |cell| {
        let text = cell.map(|bytes| {
            // A database that has no encoding (`SQL_ASCII`) sends what was put into it.
            std::str::from_utf8(read(bytes)?)
                .map_err(|_| "a text of it is not UTF-8: convert it (`convert_from`), or read bytes".to_owned())
        });
        values.append_option(text.transpose()?);
        Ok(())
    })?;
    Ok(Arc::new(values.finish()))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| format!("a value of it has {} bytes; expected {N}", bytes.len()))
}

fn uuid(bytes: &[u8]) -> Result<String, String> {
    let hex = hex::encode(fixed::<16>(bytes)?);
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

fn date(bytes: [u8; 4]) -> Result<i32, String> {
    let days = i32::from_be_bytes(bytes);
    if matches!(days, i32::MIN | i32::MAX) {
        return Err(no_time("infinity"));
    }
    let since_1970 = i64::from(days) + EPOCH_DAYS;
    if !DAYS.contains(&since_1970) {
        return Err(no_time("a date before the year 1 or after 9999"));
    }
    i32::try_from(since_1970).map_err(|_| no_time("a date"))
}

fn instant(bytes: [u8; 8]) -> Result<i64, String> {
    let micros = i64::from_be_bytes(bytes);
    if matches!(micros, i64::MIN | i64::MAX) {
        return Err(no_time("infinity"));
    }
    let since_1970 = micros.checked_add(EPOCH_DAYS * DAY_MICROS);
    since_1970
        .filter(|micros| DAYS.contains(&micros.div_euclid(DAY_MICROS)))
        .ok_or_else(|| no_time("an instant before the year 1 or after 9999"))
}

fn no_time(what: &str) -> String {
    format!(
        "a value of it is {what}, which a block cannot hold: say in the statement what is to become of it, such as `::text` or `nullif`"
    )
}

fn words(error: tokio_postgres::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_count_from_1970_and_end_with_the_year_9999() {
        let days = |days: i32| date(days.to_be_bytes());
        assert_eq!(days(0), Ok(10_957));
        // 0001-01-01 and 9999-12-31
        assert_eq!((days(-730_119), days(2_921_939)), (Ok(-719_162), Ok(2_932_896)));
        assert!(days(-730_120).unwrap_err().contains("before the year 1"));
        assert!(days(2_921_940).unwrap_err().contains("after 9999"));
        assert!(days(i32::MAX).unwrap_err().contains("infinity"));
        let micros = |micros: i64| instant(micros.to_be_bytes());
        assert_eq!(micros(0), Ok(946_684_800_000_000));
        assert_eq!(micros(2_921_940 * DAY_MICROS - 1), Ok(253_402_300_799_999_999));
        assert!(micros(2_921_940 * DAY_MICROS).is_err() && micros(-730_119 * DAY_MICROS - 1).is_err());
        assert!(micros(i64::MAX).unwrap_err().contains("infinity") && micros(i64::MAX - 1).is_err());
    }

    #[test]
    fn a_uuid_is_printed_as_the_server_does() {
        let bytes: Vec<u8> = (0..16).map(|n| n * 17).collect();
        assert_eq!(uuid(&bytes).unwrap(), "00112233-4455-6677-8899-aabbccddeeff");
        assert!(uuid(&bytes[1..]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_time_or_an_error(day in any::<i32>(), micros in any::<i64>()) {
            prop_assert!(date(day.to_be_bytes()).is_ok_and(|day| DAYS.contains(&day.into())) || date(day.to_be_bytes()).is_err());
            let _ = instant(micros.to_be_bytes());
        }
    }
}
