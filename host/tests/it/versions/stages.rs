//! Versions of datasets that have stages: a release has all of them.

use std::collections::BTreeSet;

use gristmill::job::Digest;
use gristmill::registry::TrialKind;
use gristmill::trust::Policy;

use super::{GOOD, House, said};

/// A dataset file with these stages.
fn stages(names: &[&str]) -> String {
    let stage = |name: &&str| {
        format!(
            "[[stage]]\nname = \"{name}\"\nmap.items = []\noutput = [{{ name = \"rows\", table = \"rows\", key = [\"id\"] }}]\n"
        )
    };
    let stages: String = names.iter().map(stage).collect();
    format!("dataset = \"d\"\nplugin.component = \"d.wasm\"\n[release.canary]\nmin_items = 100000\n{stages}")
}

/// The release that a batch of this dataset or stage ran on, or what was said instead.
async fn release(house: &House, name: &str) -> Result<Digest, String> {
    said(house.send(None, |message| message["dataset"] = name.into()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_takes_batches_of_the_stages_that_it_has() {
    let house = House::new().await;
    let both = house.shelf.publish_text("0.1.0", GOOD, &stages(&["cut", "take"])).await;
    let one = house.shelf.publish_text("0.2.0", GOOD, &stages(&["cut"])).await;
    house.shelf.promote("0.1.0").await;
    let worker = house.worker(Policy::none()).await;
    let head = house.shelf.attempt("0.2.0", TrialKind::Canary, "50%").await;
    worker.reaches(head).await;
    let mut of_cut = BTreeSet::new();
    for _ in 0..30 {
        assert_eq!(release(&house, "d.take").await, Ok(both));
        of_cut.insert(release(&house, "d.cut").await.unwrap());
    }
    assert_eq!(of_cut, BTreeSet::from([both, one]));
    for name in ["d", "d.nosuch"] {
        let error = release(&house, name).await.unwrap_err();
        let expected = "the dataset has the stages d.cut, d.take, and a message names one of them";
        assert!(error.starts_with("Gristmill.BadMessage: ") && error.ends_with(expected), "{error}");
    }
}
