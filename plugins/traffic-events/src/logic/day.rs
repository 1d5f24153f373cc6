//! The events of one day, point by point, with what went before.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

use gristmill_plugin::table::Date;

use super::rolling::{Averages, PRECEDING};

const DAY: i64 = 86_400;

/// One event. Speeds and occupancies that are null are NaN here: that is eight bytes less for each.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// In seconds since 1970.
    pub second: i64,
    speed: f64,
    occupancy: f64,
}

/// All events of a day: 24 bytes for each, and for each measuring point its last events of the day before.
pub struct Day {
    first: i64,
    points: Vec<Point>,
    places: HashMap<Box<str>, usize>,
}

/// A measuring point.
pub struct Point {
    /// Its name.
    pub id: Box<str>,
    /// The last seconds of the day before, each once, with their speeds.
    before: VecDeque<(i64, f64)>,
    events: Vec<Event>,
}

/// The rows of a measuring point.
pub struct Rows {
    /// Its name.
    pub id: Box<str>,
    /// The events in the order of time, each second once.
    pub events: Vec<Event>,
    /// The speed of the row before each.
    pub previous: Vec<Option<f64>>,
    /// The averages that end with each.
    pub averages: Averages,
    /// How many events were there more than once, and are left out.
    pub duplicates: u64,
}

impl Event {
    /// An event. What is not finite is null.
    #[must_use]
    pub fn new(second: i64, speed: Option<f64>, occupancy: Option<f64>) -> Self {
        Self { second, speed: or_nan(speed), occupancy: or_nan(occupancy) }
    }

    /// The mean speed.
    #[must_use]
    pub fn speed(&self) -> Option<f64> {
        number(self.speed)
    }

    /// The occupancy.
    #[must_use]
    pub fn occupancy(&self) -> Option<f64> {
        number(self.occupancy)
    }

    /// In the order of time, and of one second the one first that stays.
    fn order(&self, other: &Self) -> Ordering {
        let best = |one: f64, other: f64| compare(other, one);
        let by_speed = || best(self.speed, other.speed).then_with(|| best(self.occupancy, other.occupancy));
        self.second.cmp(&other.second).then_with(by_speed)
    }
}

impl Day {
    /// A day without events.
    #[must_use]
    pub fn new(date: Date) -> Self {
        Self { first: i64::from(date.0) * DAY, points: Vec::new(), places: HashMap::new() }
    }

    /// Adds an event of the day. Events may come in any order.
    ///
    /// # Errors
    /// The end of a sentence if it is of another day.
    pub fn add(&mut self, point: &str, event: Event) -> Result<(), String> {
        if !(self.first..self.first + DAY).contains(&event.second) {
            return Err(format!("it was at {}, on another day", event.second));
        }
        let place = match self.places.get(point) {
            Some(place) => *place,
            None => {
                self.places.insert(point.into(), self.points.len());
                self.points.push(Point { id: point.into(), before: VecDeque::new(), events: Vec::new() });
                self.points.len() - 1
            }
        };
        self.points[place].events.push(event);
        Ok(())
    }

    /// Looks at an event of a day before, when all events of the day are there. They may come in any order.
    ///
    /// # Errors
    /// The end of a sentence if it is none of a day before.
    pub fn precede(&mut self, point: &str, second: i64, speed: Option<f64>) -> Result<(), String> {
        if second >= self.first {
            return Err(format!("it was at {second}, on no day before"));
        }
        if let Some(place) = self.places.get(point) {
            self.points[*place].precede(second, or_nan(speed));
        }
        Ok(())
    }

    /// The points in the order of their names.
    #[must_use]
    pub fn into_points(self) -> Vec<Point> {
        let mut points = self.points;
        points.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        points
    }
}

impl Point {
    /// Keeps the last seconds. One that has made room for later ones is never among the last again.
    fn precede(&mut self, second: i64, speed: f64) {
        let place = self.before.partition_point(|(known, _)| *known < second);
        match self.before.get_mut(place) {
            Some((known, there)) if *known == second => {
                if compare(*there, speed).is_lt() {
                    *there = speed;
                }
            }
            _ => {
                if self.before.len() == PRECEDING {
                    if place == 0 {
                        return;
                    }
                    self.before.pop_front();
                    self.before.insert(place - 1, (second, speed));
                } else {
                    self.before.insert(place, (second, speed));
                }
            }
        }
    }

    /// Sorts the events, leaves out what was landed twice, and computes what follows.
    #[must_use]
    pub fn into_rows(mut self) -> Rows {
        let all = self.events.len();
        self.events.sort_by(Event::order);
        self.events.dedup_by_key(|event| event.second);
        let before = self.before.len();
        let speeds = self.before.iter().map(|(_, speed)| *speed).chain(self.events.iter().map(|event| event.speed));
        let speeds: Vec<Option<f64>> = speeds.map(number).collect();
        let first = before.checked_sub(1).and_then(|last| speeds[last]);
        let previous = std::iter::once(first).chain(speeds[before..].iter().copied());
        Rows {
            previous: previous.take(self.events.len()).collect(),
            averages: Averages::new(&speeds, before),
            duplicates: (all - self.events.len()) as u64,
            id: self.id,
            events: self.events,
        }
    }
}

fn or_nan(value: Option<f64>) -> f64 {
    value.filter(|value| value.is_finite()).unwrap_or(f64::NAN)
}

fn number(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

/// A null is less than every value.
fn compare(one: f64, other: f64) -> Ordering {
    number(one).is_some().cmp(&number(other).is_some()).then_with(|| one.total_cmp(&other))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    const DATE: Date = Date(20_541);
    const FIRST: i64 = 20_541 * DAY;

    fn rows(day: Day) -> Vec<Rows> {
        day.into_points().into_iter().map(Point::into_rows).collect()
    }

    #[test]
    fn midnight_belongs_to_the_day_that_begins() {
        let mut day = Day::new(DATE);
        let event = |second| Event::new(second, Some(1.0), None);
        assert!(day.add("p", event(FIRST)).is_ok());
        assert!(day.add("p", event(FIRST + DAY - 1)).is_ok());
        assert_eq!(day.add("p", event(FIRST + DAY)), Err("it was at 1774828800, on another day".into()));
        assert_eq!(day.add("p", event(FIRST - 1)), Err("it was at 1774742399, on another day".into()));
        assert!(day.precede("p", FIRST - 1, Some(1.0)).is_ok());
        assert_eq!(day.precede("p", FIRST, None), Err("it was at 1774742400, on no day before".into()));
    }

    #[test]
    fn the_rows_before_midnight_go_on() {
        let mut day = Day::new(DATE);
        day.add("p", Event::new(FIRST + 60, Some(90.0), None)).unwrap();
        day.add("p", Event::new(FIRST, Some(60.0), None)).unwrap();
        day.add("new", Event::new(FIRST, None, Some(3.0))).unwrap();
        day.precede("p", FIRST - 120, Some(30.0)).unwrap();
        day.precede("p", FIRST - 60, None).unwrap();
        day.precede("gone", FIRST - 60, Some(1.0)).unwrap();
        let [new, p] = &rows(day)[..] else { panic!("two points have events") };
        assert_eq!((&*new.id, new.events[0].speed(), new.events[0].occupancy()), ("new", None, Some(3.0)));
        assert_eq!((&new.previous[..], &new.averages.of_20[..]), (&[None][..], &[None][..]));
        assert_eq!((&*p.id, &p.previous[..]), ("p", &[None, Some(60.0)][..]));
        assert_eq!(p.averages.of_3, [Some(45.0), Some(75.0)]);
        assert_eq!(p.averages.of_20, [Some(45.0), Some(60.0)]);
    }

    /// As the README has it, for those who have to say how much memory a day may take.
    #[test]
    fn an_event_takes_24_bytes() {
        assert_eq!(size_of::<Event>(), 24);
    }

    #[test]
    fn what_is_not_finite_is_null() {
        let event = Event::new(0, Some(f64::INFINITY), Some(f64::NAN));
        assert_eq!((event.speed(), event.occupancy()), (None, None));
    }

    type Given = (i64, Option<i8>, Option<i8>);

    /// Of each second the greatest speed, then the greatest occupancy.
    fn once(given: &[Given]) -> Vec<Given> {
        let mut best = BTreeMap::new();
        for (second, speed, occupancy) in given {
            let there = best.entry(*second).or_insert((*speed, *occupancy));
            *there = (*there).max((*speed, *occupancy));
        }
        best.into_iter().map(|(second, (speed, occupancy))| (second, speed, occupancy)).collect()
    }

    fn given(seconds: std::ops::Range<i64>) -> impl Strategy<Value = Vec<Given>> {
        vec((seconds, option::of(0..4_i8), option::of(0..4_i8)), 0..60)
    }

    proptest! {
        #[test]
        fn neither_order_nor_repetition_matters(
            events in given(0..40), before in given(-40..0), points in vec(0..2_usize, 120),
        ) {
            let names = ["one", "two"];
            let of = |given: &[Given], at: usize| {
                let own = given.iter().zip(&points[at..]).map(|(event, point)| (names[*point], *event));
                own.collect::<Vec<_>>()
            };
            let (events, before) = (of(&events, 0), of(&before, 60));
            let mut day = Day::new(DATE);
            let as_number = |value: Option<i8>| value.map(f64::from);
            for (point, (second, speed, occupancy)) in &events {
                day.add(point, Event::new(FIRST + second, as_number(*speed), as_number(*occupancy))).unwrap();
            }
            for (point, (second, speed, _)) in &before {
                day.precede(point, FIRST + second, as_number(*speed)).unwrap();
            }
            let found = rows(day);
            let own = |all: &[(&str, Given)], name: &str| {
                once(&all.iter().filter(|(point, _)| *point == name).map(|(_, event)| *event).collect::<Vec<_>>())
            };
            let there: Vec<_> = names.into_iter().filter(|name| !own(&events, name).is_empty()).collect();
            prop_assert_eq!(found.iter().map(|rows| &*rows.id).collect::<Vec<_>>(), there);
            for rows in found {
                let (events, before) = (own(&events, &rows.id), own(&before, &rows.id));
                let before = &before[before.len().saturating_sub(PRECEDING)..];
                let speeds: Vec<_> = before.iter().chain(&events).map(|(_, speed, _)| as_number(*speed)).collect();
                let averages = Averages::new(&speeds, before.len());
                prop_assert_eq!(rows.averages.of_20, averages.of_20);
                prop_assert_eq!(rows.averages.of_3, averages.of_3);
                let previous = |at: usize| (at + before.len()).checked_sub(1).and_then(|at| speeds[at]);
                prop_assert_eq!(rows.previous, (0..events.len()).map(previous).collect::<Vec<_>>());
                let seen: Vec<_> = rows.events.iter().map(|event| (event.second - FIRST, event.speed(), event.occupancy())).collect();
                let expected: Vec<_> = events.iter().map(|(at, speed, occupancy)| (*at, as_number(*speed), as_number(*occupancy))).collect();
                prop_assert_eq!(seen, expected);
            }
        }
    }
}
