//! Buckets: what plugins may read of them, and where outputs and reports go.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;

use super::asked::{Asked, Verdict};
use super::permission::{allowed, answered};
use crate::aws::s3_client;
use crate::dataset::{Dataset, Grants, Prefix, Target};
use crate::object::Location;

/// Whether what is granted can be listed and read.
pub(super) async fn granted(config: &SdkConfig, grants: &Grants) -> Vec<Asked> {
    let client = s3_client(config, "account");
    let mut asked = Vec::new();
    for grant in &grants.read {
        let verdict = readable(&client, grant).await.unwrap_or_else(|problem| problem);
        asked.push(Asked::new(format!("grant {grant}"), verdict));
    }
    asked
}

async fn readable(client: &Client, grant: &Location) -> Result<Verdict, Verdict> {
    let listed = client.list_objects_v2().bucket(&grant.bucket).prefix(&grant.key).max_keys(1).send().await;
    let first = answered(listed, "s3:ListBucket")?.contents.unwrap_or_default().into_iter().next();
    let Some(key) = first.and_then(|object| object.key) else {
        return Ok(Verdict::Hint("there is no object under it".into()));
    };
    allowed(client.head_object().bucket(&grant.bucket).key(key).send().await, "s3:GetObject")?;
    Ok(Verdict::Fine("it can be listed and read".into()))
}

/// Whether objects can be written where outputs and reports go.
pub(super) async fn places(config: &SdkConfig, dataset: &Dataset) -> Vec<Asked> {
    let client = s3_client(config, "account");
    let outputs = dataset.outputs.iter().filter_map(|output| match &output.target {
        Target::Objects { prefix, .. } => Some((format!("output {prefix}"), prefix)),
        Target::Table { .. } => None,
    });
    let reports = dataset.map.reports.iter().map(|prefix| (format!("reports {prefix}"), prefix));
    let lists = dataset.outputs.iter().filter_map(|output| match &output.target {
        Target::Objects { prefix, layout, .. } if !layout.has_one_file() => Some(prefix),
        _ => None,
    });
    let lists: Vec<&Prefix> = lists.collect();
    let mut asked = Vec::new();
    for (what, prefix) in outputs.chain(reports) {
        let Some(place) = beginning(prefix) else {
            asked.push(Asked::new(what, Verdict::NotAsked("only a run knows its bucket".into())));
            continue;
        };
        let verdict = writable(&client, &place).await.unwrap_or_else(|problem| problem);
        asked.push(Asked::new(&what, verdict));
        asked.push(Asked::new(&what, Verdict::NotAsked("`s3:DeleteObject`".into())));
        if lists.contains(&prefix) {
            asked.push(Asked::new(what, lists_files(&client, &place).await.unwrap_or_else(|problem| problem)));
        }
    }
    asked
}

/// Whether a list of a batch's files can be told to be missing. Without `s3:ListBucket`, a missing object looks like a forbidden one.
async fn lists_files(client: &Client, place: &Location) -> Result<Verdict, Verdict> {
    let key = format!("{}_gristmill/gristmill-check", place.key);
    allowed(client.head_object().bucket(&place.bucket).key(key).send().await, "s3:GetObject` and `s3:ListBucket")?;
    Ok(Verdict::Fine("the lists of batches' files can be read".into()))
}

/// Begins an upload and takes it back. Nobody ever sees it.
async fn writable(client: &Client, place: &Location) -> Result<Verdict, Verdict> {
    let key = format!("{}gristmill-check", place.key);
    let uploads = client.list_multipart_uploads().bucket(&place.bucket).prefix(&key).send().await;
    answered(uploads, "s3:ListBucketMultipartUploads")?;
    let begun = client.create_multipart_upload().bucket(&place.bucket).key(&key).send().await;
    let id = answered(begun, "s3:PutObject")?.upload_id.unwrap_or_default();
    let aborted = client.abort_multipart_upload().bucket(&place.bucket).key(&key).upload_id(id).send().await;
    answered(aborted, "s3:AbortMultipartUpload")?;
    Ok(Verdict::Fine("objects can be written".into()))
}

/// The part of the place that is the same for every run. None when not even the bucket is.
fn beginning(prefix: &Prefix) -> Option<Location> {
    let text = prefix.to_string();
    let fixed = text.split("{$").next().unwrap_or_default();
    // The key up to its last whole part.
    let (bucket, key) = fixed.strip_prefix("s3://")?.split_once('/')?;
    let key = key.rfind('/').map_or("", |slash| &key[..=slash]);
    Some(Location { bucket: bucket.into(), key: key.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::recorded::{Recorded, Response};

    #[test]
    fn what_is_the_same_for_every_run_is_asked() {
        let of = |text: &str| {
            let prefix = Prefix::Of(crate::dataset::Template(text.into()));
            beginning(&prefix).map(|place| place.to_string())
        };
        assert_eq!(of("s3://b/a/{$.day}/x/").unwrap(), "s3://b/a/");
        assert_eq!(of("s3://b/a/day-{$.day}/").unwrap(), "s3://b/a/");
        assert_eq!(of("s3://b/{$.day}/").unwrap(), "s3://b/");
        assert_eq!(of("s3://{$.bucket}/a/"), None);
        assert_eq!(beginning(&"s3://b/a/c/".parse().unwrap()).unwrap().key, "a/c/");
    }

    #[tokio::test]
    async fn a_place_that_cannot_be_written_names_the_permission() {
        let place = "s3://b/out/".parse().unwrap();
        let denied = || Response::new(403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>");
        let list = || Response::new(200, "<ListMultipartUploadsResult/>");
        let begun = || {
            Response::new(200, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
        };
        let ask = async |responses| {
            let recorded = Recorded::start(responses).await;
            let verdict = writable(&s3_client(&recorded.config, "test"), &place).await;
            (verdict, recorded.requests().len())
        };
        assert!(matches!(ask(vec![list(), begun(), Response::new(204, "")]).await, (Ok(Verdict::Fine(_)), 3)));
        for (permission, responses) in [
            ("s3:ListBucketMultipartUploads", vec![denied()]),
            ("s3:PutObject", vec![list(), denied()]),
            ("s3:AbortMultipartUpload", vec![list(), begun(), denied()]),
        ] {
            let (Err(Verdict::Problem(why)), _) = ask(responses).await else { panic!("{permission}") };
            assert!(why.starts_with(&format!("no permission: allow `{permission}`")), "{why}");
        }
    }
}
