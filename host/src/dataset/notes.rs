//! Notes: nothing is wrong with the dataset, but its user should know this before it runs.

use std::time::Duration;

use super::{Dataset, ItemReader, Target};
use crate::object::Location;

impl Dataset {
    /// Notes for a run in the cloud.
    pub fn notes(&self) -> Vec<String> {
        // Where a run is concluded, `runs` says what becomes of earlier ones.
        let alone = self.outputs.iter().filter(|_| self.stage.is_none());
        let objects = alone.filter_map(|output| match &output.target {
            Target::Objects { prefix, .. } => Some((&output.name, prefix)),
            Target::Table { .. } => None,
        });
        let shared = objects.filter_map(|(name, prefix)| Some(beside_the_last_run(name, prefix.fixed()?)));
        let inventory = matches!(self.map.item_reader, ItemReader::S3Inventory { .. }).then(|| INVENTORY.into());
        let range = match &self.map.item_reader {
            ItemReader::Range(range) => Some(range.beyond_a_payload()),
            _ => None,
        };
        shared.chain(inventory).chain(range).chain(self.short_heartbeat()).collect()
    }

    /// How large a fleet has to be, where batches may not wait for long.
    fn short_heartbeat(&self) -> Option<String> {
        let map = &self.map;
        if map.heartbeat >= SHORT {
            return None;
        }
        let (heartbeat, batches) = (humantime::format_duration(map.heartbeat), map.max_concurrency.max(1));
        let each = Duration::from_millis((map.heartbeat.as_millis() as u64 / u64::from(batches)).max(1));
        let each = humantime::format_duration(each);
        Some(format!(
            "`heartbeat` is {heartbeat}, and it runs while a batch waits in the queue, too: one that waits longer fails with \
             States.HeartbeatTimeout and is sent again. Up to {batches} batches (`max_concurrency`) wait at once. They are taken in \
             time if a batch takes less than {each} for each slot of the fleet; if you do not know that, leave it to half of a long `timeout`"
        ))
    }
}

/// A fleet that follows its queue may take some minutes to wake, and a queue may be deep for an hour.
const SHORT: Duration = Duration::from_secs(3600);

/// "ItemReader (Map)" in the Step Functions developer guide says the first, and nothing of the second.
const INVENTORY: &str = "`s3_inventory`: Step Functions reads inventories in CSV only; one in Parquet or ORC fails the \
                         execution (list one in Parquet with `gristmill items --out`). It may hand on keys as they stand there, URL-encoded (a space is `+`): look at the \
                         items of a first execution with `max_items`";

/// An execution never replaces what another one wrote, because nothing says which of the other's objects its own stand for.
fn beside_the_last_run(output: &str, prefix: &Location) -> String {
    format!(
        "output `{output}`: every execution adds its objects to {prefix}, beside those of the executions before; \
         `prefix = \"{prefix}{{$$.Execution.Name}}/\"` gives each a place of its own"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::dataset::Variables;

    #[test]
    fn what_step_functions_does_not_do_with_an_inventory_is_said() {
        let text =
            "dataset = 'd'\nplugin.component = 'p'\nmap.item_reader = { s3_inventory = 's3://b/i/manifest.json' }\n";
        let dataset = Dataset::parse(text, Path::new("d.toml"), &Variables::default()).unwrap();
        assert_eq!(dataset.notes(), [INVENTORY]);
    }

    #[test]
    fn a_heartbeat_that_batches_may_outwait_says_how_large_the_fleet_has_to_be() {
        let notes = |map: &str| {
            let text = format!("dataset = 'd'\nplugin.component = 'p'\n[map]\nitems = []\n{map}");
            Dataset::parse(&text, Path::new("d.toml"), &Variables::default()).unwrap().notes()
        };
        assert_eq!(notes(""), [""; 0]);
        assert_eq!(notes("heartbeat = '1h'"), [""; 0]);
        let short = notes("heartbeat = '2m'");
        assert!(
            short[0].contains("Up to 1000 batches") && short[0].contains("less than 120ms for each slot"),
            "{short:?}"
        );
        let narrow = notes("heartbeat = '2m'\nmax_concurrency = 8");
        assert!(
            narrow[0].contains("Up to 8 batches") && narrow[0].contains("less than 15s for each slot"),
            "{narrow:?}"
        );
    }

    #[test]
    fn outputs_that_executions_share_are_named() {
        let text = "dataset = 'd'\nplugin.component = 'p'\nmap.items = []\n\
                    [[output]]\nname = 'a'\nprefix = 's3://b/a/'\nformat = 'csv'\n\
                    [[output]]\nname = 't'\ntable = 'ttt'\nkey = ['k']\n";
        let dataset = Dataset::parse(text, Path::new("d.toml"), &Variables::default()).unwrap();
        insta::assert_snapshot!(dataset.notes().join("\n"), @r#"output `a`: every execution adds its objects to s3://b/a/, beside those of the executions before; `prefix = "s3://b/a/{$$.Execution.Name}/"` gives each a place of its own"#);
    }
}
