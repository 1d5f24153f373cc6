//! `gristmill check --cloud`: what an account lacks is said before anything runs, with what to do.

use aws_sdk_sqs::types::QueueAttributeName;
use insta::assert_snapshot;
use serde_json::json;

use crate::cloud::{create_table, queue_arn};
use crate::emulator::{self, config, shared};
use crate::laptop::{Laptop, Said, gristmill};

/// An account with names of its own on the shared emulator: a bucket, queues, tables.
async fn account(name: &str) -> String {
    let config = config(shared());
    let s3 = aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build());
    s3.create_bucket().bucket(format!("{name}-data")).send().await.unwrap();
    let body = aws_sdk_s3::primitives::ByteStream::from_static(b"x");
    s3.put_object().bucket(format!("{name}-data")).key("in/a.csv").body(body).send().await.unwrap();
    create_table(&config, &format!("{name}-rows"), "pk").await;
    create_table(&config, &format!("{name}-other"), "id").await;
    create_table(&config, &format!("{name}-ledger"), "pk").await;
    let sqs = aws_sdk_sqs::Client::new(&config);
    let queue = async |name: String, attributes: &[(QueueAttributeName, String)]| {
        let mut request = sqs.create_queue().queue_name(name);
        for (attribute, value) in attributes {
            request = request.attributes(attribute.clone(), value);
        }
        request.send().await.unwrap().queue_url.unwrap()
    };
    let dead = queue(format!("{name}-dead"), &[]).await;
    let redrive = json!({"deadLetterTargetArn": queue_arn(&sqs, &dead).await, "maxReceiveCount": "10"}).to_string();
    queue(format!("{name}-bare"), &[(QueueAttributeName::VisibilityTimeout, "5".into())]).await;
    let visibility = (QueueAttributeName::VisibilityTimeout, "30".into());
    queue(name.into(), &[visibility, (QueueAttributeName::RedrivePolicy, redrive)]).await
}

fn check(laptop: &Laptop, name: &str, output: &str, arguments: &[&str]) -> Said {
    let reader = format!("item_reader = {{ list_objects = \"s3://{name}-data/in/\" }}");
    let dataset = laptop.dataset_to(&reader, output);
    let text = std::fs::read_to_string(&dataset).unwrap();
    let dataset = laptop.write("dataset.toml", &text.replace("s3://data/", &format!("s3://{name}-data/in/")));
    let mut command = gristmill();
    command.arg("check").arg(dataset).arg("--cloud").args(arguments).envs(emulator::environment(shared()));
    let said = laptop.said(command.output().unwrap());
    let lines = said.out.lines().skip(1).map(|line| line.replace(shared(), "http://EMULATOR"));
    Said { out: lines.map(|line| line + "\n").collect(), ..said }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_has_everything_passes() {
    let (laptop, queue) = (Laptop::new(), account("whole").await);
    let table = "table = \"whole-rows\"\nkey = [\"pk\"]";
    let said = check(&laptop, "whole", table, &["--queue", &queue, "--ledger", "whole-ledger"]);
    assert_snapshot!(said.all(), @r"
    exit 0
    ok        queue http://EMULATOR/000000000000/whole: its visibility time-out is 30 s
    ok        queue http://EMULATOR/000000000000/whole: redrive policy: dead letters after 10 deliveries
    ok        dead-letter queue arn:aws:sqs:us-east-1:000000000000:whole-dead: it is there
    ok        queue http://EMULATOR/000000000000/whole: messages may be extended and deleted
    not asked queue http://EMULATOR/000000000000/whole: `sqs:ReceiveMessage` here and `sqs:SendMessage` on the dead-letter queue
    ok        answers: Step Functions takes them
    ok        ledger whole-ledger: it has the key `pk`, and may be read and written
    hint      ledger whole-ledger: switch on time to live for the attribute `expires`, or it grows for ever
    ok        table whole-rows: it has the key of output `stations`, pk, and may be written
    ok        grant s3://whole-data/in/: it can be listed and read
    ");
    let objects = "prefix = \"s3://whole-data/out/{$.day}/\"\nformat = \"csv\"";
    let said = check(&laptop, "whole", objects, &[]);
    assert_snapshot!(said.all(), @r"
    exit 0
    not asked queue: give `--queue URL`
    ok        answers: Step Functions takes them
    not asked ledger: give `--ledger TABLE`
    ok        grant s3://whole-data/in/: it can be listed and read
    ok        output s3://whole-data/out/{$.day}/: objects can be written
    not asked output s3://whole-data/out/{$.day}/: `s3:DeleteObject`
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_account_lacks_is_named() {
    let (laptop, queue) = (Laptop::new(), account("part").await);
    let (bare, nosuch) = (format!("{queue}-bare"), format!("{queue}-nosuch"));
    let table = |name: &str| format!("table = \"part-{name}\"\nkey = [\"pk\"]");
    let problems = |said: Said| {
        let problems: Vec<_> = said.out.lines().filter(|line| line.starts_with("problem")).collect();
        format!("exit {}\n{}", said.code.unwrap(), problems.join("\n"))
    };
    assert_snapshot!(problems(check(&laptop, "part", &table("nosuch"), &["--queue", &bare, "--ledger", "part-other"])), @r"
    exit 1
    problem   queue http://EMULATOR/000000000000/part-bare: its visibility time-out is 5 s: make it 30 s or more, workers extend it
    problem   queue http://EMULATOR/000000000000/part-bare: redrive policy: there is none, so that nothing can be set aside: give it one with a dead-letter queue and a `maxReceiveCount` of 10
    problem   ledger part-other: the ledger refused: The provided key element does not match the schema (ValidationException, HTTP 400). The ledger needs a table in this account and region with the partition key `pk` of type S (string) and no sort key
    problem   table part-nosuch: table `part-nosuch` of DynamoDB: there is no such table in this account and region: make it, or change `table` in the dataset file (Requested resource not found: Table: part-nosuch not found (ResourceNotFoundException, HTTP 400))
    ");
    assert_snapshot!(problems(check(&laptop, "part", &table("other"), &["--queue", &nosuch, "--ledger", "part-nosuch"])), @r"
    exit 1
    problem   queue http://EMULATOR/000000000000/part-nosuch: The specified queue does not exist for this wsdl version. (AWS.SimpleQueueService.NonExistentQueue, HTTP 400)
    problem   ledger part-nosuch: the ledger refused: Requested resource not found (ResourceNotFoundException, HTTP 400). The ledger needs a table in this account and region with the partition key `pk` of type S (string) and no sort key
    problem   table part-other: table `part-other` of DynamoDB has the key `id` (S), output `stations` has `pk` (S): change `key` in the dataset file or the column's type, or make a table with this key
    ");
    let elsewhere = "prefix = \"s3://part-nosuch/out/\"\nformat = \"csv\"";
    assert_snapshot!(problems(check(&laptop, "part", elsewhere, &["--queue", &queue])), @r"
    exit 1
    problem   output s3://part-nosuch/out/: The specified bucket does not exist (NoSuchBucket, HTTP 404)
    ");
}
