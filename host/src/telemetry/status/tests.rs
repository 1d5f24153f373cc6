//! The page, as a browser and a stranger see it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::job::Digest;
use crate::text::hostile;

const SECOND: Duration = Duration::from_secs(1);

struct Known(String);

impl Datasets for Known {
    fn datasets(&self) -> Vec<DatasetStatus> {
        let trial = TrialStatus { version: self.0.clone(), kind: "canary".into(), share: "10%".into() };
        let broken = DatasetStatus { dataset: "b".into(), broken: Some(self.0.clone()), ..DatasetStatus::default() };
        let good = DatasetStatus {
            dataset: self.0.clone(),
            version: Some(self.0.clone()),
            trial: Some(trial),
            ..DatasetStatus::default()
        };
        vec![good, broken]
    }
}

fn facts(text: &str) -> BatchFacts {
    BatchFacts {
        dataset: text.into(),
        batch: text.into(),
        version: text.into(),
        attempt: 1,
        receives: 2,
        items: 100,
        patience: 60 * SECOND,
    }
}

fn numbers(text: &str) -> Numbers {
    let queue = QueueStatus { queue: text.into(), visible: 90, in_flight: 8, delayed: 2, backlog_seconds: Some(95.4) };
    Numbers { queues: vec![queue], pause_seconds: 4.0, ..Numbers::default() }
}

/// A page on which a stranger wrote this wherever a stranger can.
fn written_by(text: &str) -> String {
    let board = Board::default();
    let _batch = board.batch(facts(text));
    board.failed(Failed::Items, text, text, 1, Some(Example::now(text, Some(text), text)));
    board.failed(Failed::Batches, text, text, 1, None);
    board.refused(text, text, Digest::of(b"release"), text);
    board.outputs_refused(text, &[text.into()]);
    board.held_back(text);
    board.shows(Arc::new(Known(text.into())));
    page(&board.look(numbers(text), Some(text.into())), true)
}

/// Its tags, without what changes from moment to moment: that is between them.
fn tags(page: &str) -> Vec<&str> {
    page.split('<').skip(1).map(|tag| tag.split_once('>').map_or(tag, |(tag, _)| tag)).collect()
}

/// The values of an attribute.
fn values<'p>(page: &'p str, attribute: &str) -> Vec<&'p str> {
    let begin = format!(" {attribute}=\"");
    page.split(&begin).skip(1).filter_map(|rest| rest.split_once('"')).map(|(value, _)| value).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_stranger_writes_no_markup(text in prop_oneof![hostile::text(), "[<>&\"'a-z/=! -]{0,20}"]) {
        // What is the same name twice is one row less.
        prop_assume!(text != "b");
        let (page, plain) = (written_by(&text), written_by("x"));
        let (mut tags, mut expected) = (tags(&page), tags(&plain));
        // Rows are in the order of names.
        tags.sort();
        expected.sort();
        prop_assert!(tags == expected, "{page}");
        hostile::assert_tame(&page);
    }
}

#[test]
fn what_was_written_is_there() {
    let page = written_by("<b onclick='x()'>&amp;\"");
    let shown = "&lt;b onclick=&#39;x()&#39;&gt;&amp;amp;&quot;";
    // Its batch, dataset and version; the item, the message and so on; and nothing is cut short at a quote.
    assert!(page.matches(shown).count() >= 15, "{page}");
}

#[test]
fn a_screen_reader_finds_its_way() {
    let page = written_by("x");
    let ids = values(&page, "id");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    let named = values(&page, "aria-labelledby");
    assert!(named.len() >= 9 && named.iter().all(|name| ids.contains(name)), "{named:?}");
    let tags = tags(&page);
    let of = |name: &str| tags.iter().filter(|tag| tag.split(' ').next() == Some(name)).collect::<Vec<_>>();
    assert!(of("th").iter().all(|tag| tag.contains("scope=")) && of("th").len() > 20);
    for (landmark, many) in [("header", 1), ("main", 1), ("footer", 1), ("h1", 1), ("title", 1), ("table", 4)] {
        assert_eq!(of(landmark).len(), many, "{landmark}");
    }
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\""), "{page}");
    // What is replaced holds nothing that could have the focus.
    for part in page.split(" data-live").skip(1) {
        let inside = part.split(" id=\"").next().unwrap();
        let inside = inside.split("</tbody>").next().unwrap().split("</dl>").next().unwrap();
        let inside = inside.split("</p>").next().unwrap();
        assert!(!inside.contains("<a ") && !inside.contains("tabindex"), "{inside}");
    }
}

#[test]
fn a_page_that_pauses_does_not_change_by_itself() {
    let status = Board::default().look(Numbers::default(), None);
    let (live, still) = (page(&status, true), page(&status, false));
    assert!(live.contains("http-equiv=\"refresh\"") && live.contains("<script>"));
    assert!(!still.contains("http-equiv=\"refresh\"") && !still.contains("<script>"));
}

/// The contrast of two colours, as the Web Content Accessibility Guidelines 2.2 define it ("contrast ratio").
fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |colour: &str| {
        let long: String = match colour.len() {
            3 => colour.chars().flat_map(|digit| [digit, digit]).collect(),
            _ => colour.into(),
        };
        let part = |at: usize| {
            let part = f64::from(u8::from_str_radix(&long[at..at + 2], 16).unwrap()) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn everything_can_be_read_in_light_and_dark() {
    let style = include_str!("page.css");
    let colour = |scheme: &str, name: &str| {
        let rest = scheme.split_once(&format!("--{name}: #")).unwrap().1;
        rest.split(';').next().unwrap().to_owned()
    };
    let (light, dark) = style.split_once("prefers-color-scheme: dark").unwrap();
    for scheme in [light, dark] {
        for ground in ["ground", "raised"] {
            for text in ["text", "soft", "link", "good", "wait", "bad"] {
                let ratio = contrast(&colour(scheme, text), &colour(scheme, ground));
                assert!(ratio >= 4.5, "{text} on {ground}: {ratio:.2}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_thing_that_somebody_wants_to_know_is_the_headline() {
    let board = Board::default();
    let mut said = String::new();
    let mut look = |numbers: Numbers, not_ready: Option<&str>| {
        let status = board.look(numbers, not_ready.map(Into::into));
        said += &format!("{}\n", status.headline);
        status.details.iter().for_each(|detail| said += &format!("    {detail}\n"));
    };
    let calm = || Numbers { pause_seconds: 0.0, ..numbers("q") };
    look(Numbers::default(), Some("it starts"));
    look(Numbers { queues: vec![], ..calm() }, None);
    let batch = board.batch(facts("x"));
    let other = board.batch(facts("y"));
    look(calm(), None);
    board.held_back("DynamoDB throttles");
    look(numbers("q"), None);
    board.keeps_up();
    tokio::time::advance(30 * SECOND).await;
    batch.running().items_ended(1);
    tokio::time::advance(50 * SECOND).await;
    look(calm(), None);
    batch.running().lease_until(tokio::time::Instant::now());
    look(calm(), None);
    board.refused("d", "2.0.0", Digest::of(b""), "no signature");
    board.drains(tokio::time::Instant::now() + 25 * SECOND);
    tokio::time::advance(4 * SECOND).await;
    look(calm(), Some("it stops"));
    drop((batch, other));
    look(Numbers::default(), Some("it stops"));
    assert_snapshot!(said, @r"
    Not ready, backlog unknown
        It takes no messages: it starts.
    Idle, backlog unknown
    Working, 95 s of backlog
    Holding back, 95 s of backlog
        A service does not keep up: batches are taken one at a time, after a pause of 4 s. The latest reason: DynamoDB throttles
    Stuck, 95 s of backlog
        1 batch of 2 under way makes no progress; the longest has been quiet for 80 s.
    Stuck, 95 s of backlog
        1 batch of 2 under way makes no progress; the longest has been quiet for 80 s.
        1 lease is over by this worker's clock: the ledger does not answer, and another worker may take the batch.
    Draining, 95 s of backlog
        It was told to stop and takes no new batches. 2 batches under way may go on for 21 s; what is not done by then goes back to the queue.
        1 batch of 2 under way makes no progress; the longest has been quiet for 84 s.
        1 lease is over by this worker's clock: the ledger does not answer, and another worker may take the batch.
        1 version is refused; see below.
    Draining, backlog unknown
        It was told to stop, takes no new batches, and has none under way.
        1 version is refused; see below.
    ");
}
