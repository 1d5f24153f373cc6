//! One station: a plan that fits into a few numbers, and the rows that follow from it.

use oorandom::Rand64;

use crate::damage::HEADER;

/// The most stations that have different IDs.
pub(crate) const MOST: usize = 10_000_000;

/// What a station will be. Everything else follows from its seed.
pub(crate) struct Station {
    pub(crate) id: String,
    size: usize,
    seed: u128,
}

/// The highest precipitation without a quality flag, in tenths of a millimetre, and its first day.
#[derive(Clone, Copy)]
pub(crate) struct Highest {
    pub(crate) value: u32,
    pub(crate) date: Date,
}

/// Year, month, day.
pub(crate) type Date = (u32, u32, u32);

/// As many stations with as many bytes together, a few of them large and most of them small.
pub(crate) fn plan(seed: u64, stations: usize, size: u64) -> Vec<Station> {
    // The ninth power of a uniform number has a tenth of its maximum as its mean: the largest file is ten times the
    // average. Multiplication alone gives the same sizes on every machine.
    let mut random = Rand64::new(u128::from(seed));
    let weights: Vec<f64> = (0..stations).map(|_| cube(cube(random.rand_float()))).collect();
    let unit = size as f64 / weights.iter().sum::<f64>();
    let networks = ["USW", "USC", "CA0", "ASN", "GME", "SWE", "BR0", "IN0"];
    let planned = weights.iter().enumerate().map(|(index, weight)| {
        let network = networks[random.rand_range(0..networks.len() as u64) as usize];
        Station {
            id: format!("{network}{:08}", index * 7 + 10_003),
            size: ((weight * unit) as usize).max(2_000),
            seed: u128::from(seed) << 64 | u128::from(random.rand_u64()),
        }
    });
    planned.collect()
}

fn cube(number: f64) -> f64 {
    number * number * number
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Tmax,
    Tmin,
    Prcp,
    Snow,
    Snwd,
}

impl Element {
    fn name(self) -> &'static [u8; 4] {
        match self {
            Self::Tmax => b"TMAX",
            Self::Tmin => b"TMIN",
            Self::Prcp => b"PRCP",
            Self::Snow => b"SNOW",
            Self::Snwd => b"SNWD",
        }
    }

    /// A plausible value out of 16 random bits, for a climate that is as wet as the number says.
    fn value(self, random: u32, wetness: u32) -> i32 {
        let part = |of: u32| ((random * of) >> 16) as i32;
        match self {
            Self::Tmax => part(600) - 150,
            Self::Tmin => part(500) - 300,
            // Two days of three are dry; rain is mostly light and rarely heavy.
            Self::Prcp if !random.is_multiple_of(3) => 0,
            Self::Prcp => ((((random * random) >> 16) * random / 8192 * wetness) >> 16) as i32,
            Self::Snow if !random.is_multiple_of(16) => 0,
            Self::Snow | Self::Snwd => part(300),
        }
    }
}

impl Station {
    pub(crate) fn file_name(&self) -> String {
        format!("{}.csv", self.id)
    }

    /// Appends the station's file and says what is highest in it.
    pub(crate) fn write(&self, file: &mut Vec<u8>) -> Option<Highest> {
        use Element::{Prcp, Snow, Snwd, Tmax, Tmin};
        let mut random = Rand64::new(self.seed);
        let elements: &[Element] = match random.rand_range(0..12) {
            0 => &[Tmax, Tmin],
            1 => &[Tmax, Tmin, Snow, Snwd],
            2..=4 => &[Prcp],
            5..=7 => &[Tmax, Tmin, Prcp],
            _ => &[Tmax, Tmin, Prcp, Snow, Snwd],
        };
        let source = b"07ESWX"[random.rand_range(0..6) as usize];
        let hour: &[u8; 4] = [b"0700", b"1800", b"2400", b"    "][random.rand_range(0..4) as usize];
        let hour = hour.trim_ascii();
        let wetness = random.rand_range(20..400) as u32;
        // Some stations have a reading that is higher than all others and wrong, and is flagged as such.
        let gross_errors = random.rand_range(0..3) == 0;

        let mut date = (random.rand_range(1850..1990) as u32, 1, 1);
        let mut highest = None;
        let mut number = itoa::Buffer::new();
        file.reserve(self.size + 512);
        file.extend_from_slice(HEADER.as_bytes());
        while file.len() < self.size && date.0 < 9999 {
            let mut day = [0; 10];
            write_date(&mut day, date);
            for element in elements {
                let dice = random.rand_u64();
                let mut value = element.value((dice & 0xffff) as u32, wetness);
                let mut flagged = dice >> 16 & 0xff == 0;
                if *element == Prcp && gross_errors && dice >> 24 & 0x1ff == 0 {
                    (value, flagged) = (9_990, true);
                }
                file.extend_from_slice(self.id.as_bytes());
                file.extend_from_slice(&day);
                file.extend_from_slice(element.name());
                file.push(b',');
                file.extend_from_slice(number.format(value).as_bytes());
                file.push(b',');
                if *element == Prcp && value == 0 && dice >> 33 & 7 == 0 {
                    file.push(b'T'); // a trace
                }
                file.push(b',');
                if flagged {
                    file.push(b"DGIKLOX"[(dice >> 36 & 0xff) as usize % 7]);
                }
                file.extend_from_slice(&[b',', source, b',']);
                file.extend_from_slice(hour);
                file.push(b'\n');
                if *element == Prcp && !flagged {
                    let value = value as u32;
                    if highest.is_none_or(|highest: Highest| value > highest.value) {
                        highest = Some(Highest { value, date });
                    }
                }
            }
            date = next_day(date);
        }
        highest
    }
}

/// `,YYYYMMDD,`
fn write_date(field: &mut [u8; 10], (year, month, day): Date) {
    let digit = |number: u32| b'0' + (number % 10) as u8;
    *field = [
        b',',
        digit(year / 1000),
        digit(year / 100),
        digit(year / 10),
        digit(year),
        digit(month / 10),
        digit(month),
        digit(day / 10),
        digit(day),
        b',',
    ];
}

fn next_day((year, month, day): Date) -> Date {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    match (month, day) {
        (12, 31) => (year + 1, 1, 1),
        (_, last) if last == days => (year, month + 1, 1),
        _ => (year, month, day + 1),
    }
}

#[cfg(test)]
mod tests {
    use gristmill_plugin::csv::Memory;
    use noaa_precipitation::logic::{Settings, highest_precipitation};

    use super::*;

    #[test]
    fn the_answer_is_what_the_plugin_finds() {
        let (mut with, mut without, mut flagged) = (0, 0, 0);
        for station in plan(7, 200, 4_000_000) {
            let mut file = Vec::new();
            let known = station.write(&mut file).map(|Highest { value, date: (year, month, day) }| {
                (i64::from(value), format!("{year:04}-{month:02}-{day:02}"))
            });
            let (found, counts) = highest_precipitation(Memory::new("o", [file]), &Settings::default()).unwrap();
            assert!(found.as_ref().is_none_or(|row| row.pk == station.id));
            assert_eq!(found.map(|row| (row.prcp, row.date)), known, "{}", station.id);
            *if known.is_some() { &mut with } else { &mut without } += 1;
            flagged += counts.flagged_skipped;
        }
        assert!(with > 100 && without > 10 && flagged > 100, "{with} {without} {flagged}");
    }

    #[test]
    fn a_plan_has_the_size_and_the_shape_it_was_asked_for() {
        let stations = plan(1, 1000, 100_000_000);
        let total: usize = stations.iter().map(|station| station.size).sum();
        assert!((100_000_000..102_000_000).contains(&total), "{total}");
        let largest = stations.iter().map(|station| station.size).max();
        assert!(largest.is_some_and(|size| (500_000..1_500_000).contains(&size)), "{largest:?}");
        let mut ids: Vec<_> = stations.iter().map(|station| &station.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 11));
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let write = |seed| {
            let mut file = Vec::new();
            plan(seed, 3, 30_000).iter().for_each(|station| {
                station.write(&mut file);
            });
            file
        };
        assert_eq!(write(5), write(5));
        assert_ne!(write(5), write(6));
    }
}
