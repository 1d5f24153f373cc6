//! The ledger over a recorded service: answers that an emulator never gives.

use super::super::contract::request;
use super::super::{Claim, ClaimRequest, Claimed, GiveBack, Ledger as _, LedgerError};
use super::DynamoLedger;
use crate::aws::recorded::{Recorded, Response};

fn failed(item: &str) -> Response {
    let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"no""#;
    Response::json(400, &format!("{body}{item}}}"))
}

async fn ledger(responses: Vec<Response>) -> (DynamoLedger, Recorded) {
    let recorded = Recorded::start(responses).await;
    (DynamoLedger::new(&recorded.config, "ledger"), recorded)
}

fn entry(claim: &str) -> String {
    let ClaimRequest { fingerprint, component, .. } = request("run", 0);
    format!(
        r#","Item":{{"pk":{{"S":"run#Wait"}},"fence":{{"N":"7"}},"lease_until":{{"N":"9999999999999"}},
        "started":{{"N":"5000"}},"claim":{{"S":"{claim}"}},"begun":{{"S":"{claim}"}},"component":{{"S":"{component}"}},
        "fingerprint":{{"S":"{fingerprint}"}}}}"#
    )
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_ours() {
    let (mut ledger, _recorded) = ledger(vec![failed(&entry("00000000000000ab-0"))]).await;
    ledger.process = 0xab;
    let claim = ledger.claim(&request("run", 0)).await.unwrap();
    assert!(matches!(&claim, Claim::Taken(claimed) if claimed.fence == 7), "{claim:?}");
}

#[tokio::test]
async fn somebody_elses_claim_is_not() {
    let (ledger, recorded) = ledger(vec![failed(&entry("somebody"))]).await;
    assert!(matches!(ledger.claim(&request("run", 0)).await.unwrap(), Claim::Held { .. }));
    assert_eq!(recorded.requests().len(), 1);
}

#[tokio::test]
async fn a_batch_that_is_gone_is_lost() {
    let (ledger, _recorded) = ledger(vec![failed("")]).await;
    let request = request("run", 0);
    let ClaimRequest { id, component, now: started, .. } = request;
    let claimed = Claimed { id, fence: 1, component, resumed: false, started };
    assert!(matches!(ledger.release(&claimed, GiveBack::Afresh).await, Err(LedgerError::Lost(_))));
}

#[tokio::test]
async fn a_probe_asks_for_no_more_than_the_ledger_may_do() {
    let refused = |code: &str| Response::json(400, &format!(r#"{{"__type":"x#{code}","message":"why"}}"#));
    let responses = vec![failed(""), refused("ResourceNotFoundException"), refused("ValidationException")];
    let (ledger, recorded) = ledger(responses).await;
    ledger.probe().await.unwrap();
    for _ in 0..2 {
        let error = ledger.probe().await.unwrap_err();
        assert!(matches!(&error, LedgerError::Refused(why) if why.contains("partition key `pk`")), "{error:?}");
    }
    assert!(recorded.requests().iter().all(|request| request.head.contains("DynamoDB_20120810.UpdateItem")));
    assert!(recorded.requests()[0].body.contains("attribute_exists(pk)"), "it writes nothing");
}

#[tokio::test]
async fn errors_are_told_apart() {
    let error = |status, code: &str| Response::json(status, &format!(r#"{{"__type":"x#{code}","message":"why"}}"#));
    let responses = vec![
        error(400, "ResourceNotFoundException"),
        error(400, "ProvisionedThroughputExceededException"),
        error(500, "InternalServerError"),
    ];
    let (ledger, _recorded) = ledger(responses).await;
    let claim = ledger.claim(&request("run", 0)).await;
    assert!(matches!(&claim, Err(LedgerError::Refused(text)) if text.contains("`pk`")), "{claim:?}");
    for _ in 0..2 {
        let claim = ledger.claim(&request("run", 0)).await;
        assert!(matches!(claim, Err(LedgerError::Unavailable(_))), "{claim:?}");
    }
}
