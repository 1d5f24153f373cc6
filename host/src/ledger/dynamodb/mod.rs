//! The ledger in a DynamoDB table: one item per batch. A claim is one write, a commit another, and there is one between them
//! where something is prepared.
//!
//! The table needs the partition key `pk` (a string) and nothing else. Time to live on `expires` removes old entries.

mod entry;
mod fleet;
mod parts;
mod registers;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use self::entry::{Attributes, bytes, digest, entry, expires, in_the_way, number, signed, text};
use super::{Claim, ClaimRequest, Claimed, GiveBack, Ledger, LedgerError, Receipt, Record, millis, time_of};
use crate::aws::{self, Calls};

/// The largest record that lies in the batch's own item, in bytes. Each renewal writes the whole item, so it must be small.
const INLINE: usize = 8 * 1024;

/// Calls are few and urgent, and none waits behind others: a claim that is not renewed runs out. A caller that needs a prompt
/// answer cuts the call short. A commit has all the work of a batch behind it, so it waits for longer than AWS is usually away.
const CALLS: Calls = Calls {
    attempts: Calls::UNTIL_TIME_IS_OVER,
    adaptive: false,
    attempt: Duration::from_secs(5),
    whole: Duration::from_secs(120),
};

/// A start that waits for the table asks again by itself.
const PROBE: Calls =
    Calls { attempts: 2, adaptive: false, attempt: Duration::from_secs(5), whole: Duration::from_secs(10) };

/// How often a claim looks again when others change the entry at the same time.
const RACES: usize = 4;

/// A ledger in a table. Workers compare leases by their own clocks, which should agree within a fraction of the lease. A worker
/// whose clock is ahead takes batches from others that are alive; one whose clock is behind leaves the batches of dead workers
/// alone for longer. That costs time and repeated work. The outcome is right all the same, because it depends on the fence and
/// not on clocks.
#[derive(Debug)]
pub struct DynamoLedger {
    client: Client,
    table: String,
    /// Tells this ledger's claims from all others.
    process: u64,
    claims: AtomicU64,
}

impl DynamoLedger {
    /// The ledger in this table.
    pub fn new(config: &SdkConfig, table: &str) -> Self {
        let builder = Builder::from(&CALLS.limit(config))
            .retry_partition(aws::retry_budget("ledger"))
            .interceptor(aws::Attempts::of("ledger"))
            .retry_classifier(aws::LapsedCredentials);
        let process = RandomState::new().hash_one(std::process::id());
        Self { client: Client::from_conf(builder.build()), table: table.into(), process, claims: AtomicU64::new(0) }
    }

    /// Asks whether the table is there and has the ledger's key. It tries a write on a condition that no entry meets, because
    /// the ledger has the permission to write anyway.
    pub async fn probe(&self) -> Result<(), LedgerError> {
        let update = self.update("gristmill-probe".into()).condition_expression("attribute_exists(pk)");
        let update = update.update_expression("REMOVE nothing");
        let limits = Builder::new().retry_config(PROBE.retries()).timeout_config(PROBE.timeouts());
        match update.customize().config_override(limits).send().await {
            Ok(_) => Ok(()),
            Err(error) => in_the_way(error).map(|_| ()),
        }
    }

    fn update(&self, key: String) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(key))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// Takes the batch in one write if nobody has it: it is new, or a claim on the same work ran out. Otherwise the entry that
    /// stands in the way comes back.
    async fn take(&self, request: &ClaimRequest, claim: &str) -> Result<Result<Attributes, Attributes>, LedgerError> {
        let update = self
            .update(request.id.key())
            .update_expression(
                "SET fence = if_not_exists(fence, :zero) + :one, lease_until = :until, expires = :expires, claim = :claim,
                 begun = if_not_exists(begun, :claim), component = if_not_exists(component, :component),
                 started = if_not_exists(started, :now), fingerprint = :fingerprint",
            )
            .condition_expression(
                "attribute_not_exists(pk)
                 OR (attribute_not_exists(#output) AND lease_until <= :now AND fingerprint = :fingerprint)",
            )
            .expression_attribute_names("#output", "output")
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1));
        entry(with_claim(update, request, claim)).await
    }

    /// Takes the batch for other work than the entry's. The entry's claim ran out, or it is committed.
    async fn replace(
        &self,
        request: &ClaimRequest,
        claim: &str,
        fence: u64,
    ) -> Result<Result<Attributes, Attributes>, LedgerError> {
        let update = self
            .update(request.id.key())
            .update_expression(
                "SET fence = fence + :one, lease_until = :until, expires = :expires, claim = :claim, begun = :claim,
                 component = :component, started = :now, fingerprint = :fingerprint
                 REMOVE #output, prepared, prepared_parts",
            )
            .condition_expression("fence = :fence AND (attribute_exists(#output) OR lease_until <= :now)")
            .expression_attribute_names("#output", "output")
            .expression_attribute_values(":fence", number(fence))
            .expression_attribute_values(":one", number(1));
        entry(with_claim(update, request, claim)).await
    }

    /// Reads the claim from the entry.
    async fn claimed(&self, request: &ClaimRequest, claim: &str, entry: &Attributes) -> Result<Claim, LedgerError> {
        let claimed = Claimed {
            id: request.id.clone(),
            fence: signed(entry, "fence")?.unsigned_abs(),
            component: digest(entry, "component")?,
            resumed: text(entry, "begun")? != claim,
            started: time_of(signed(entry, "started")?),
        };
        Ok(match parts::find(&self.client, &self.table, &request.id, entry).await? {
            Some(record) => Claim::Prepared(claimed, record),
            None => Claim::Taken(claimed),
        })
    }

    /// A write under a claim.
    async fn under(&self, claimed: &Claimed, update: UpdateItemFluentBuilder) -> Result<(), LedgerError> {
        let update = update.condition_expression("fence = :fence");
        match update.expression_attribute_values(":fence", number(claimed.fence)).send().await {
            Ok(_) => Ok(()),
            Err(error) => in_the_way(error).and_then(|_| Err(LedgerError::Lost(claimed.id.clone()))),
        }
    }
}

#[async_trait]
impl Ledger for DynamoLedger {
    async fn claim(&self, request: &ClaimRequest) -> Result<Claim, LedgerError> {
        let claim = format!("{:016x}-{}", self.process, self.claims.fetch_add(1, Ordering::Relaxed));
        let mut tried = self.take(request, &claim).await?;
        for _ in 0..RACES {
            let entry = match tried {
                Ok(entry) => return self.claimed(request, &claim, &entry).await,
                Err(entry) => entry,
            };
            // It is our own claim: an attempt whose answer was lost had got through.
            if text(&entry, "claim").is_ok_and(|found| *found == claim) {
                return self.claimed(request, &claim, &entry).await;
            }
            let fingerprint = digest(&entry, "fingerprint")?;
            let same = fingerprint == request.fingerprint;
            match entry.get("output").and_then(|output| output.as_s().ok()) {
                Some(output) if same => {
                    return Ok(Claim::Committed(Receipt { output: output.clone(), fingerprint, evidence: None }));
                }
                None if signed(&entry, "lease_until")? > millis(request.now) => {
                    let remaining = signed(&entry, "lease_until")?.abs_diff(millis(request.now));
                    return Ok(Claim::Held { remaining: Duration::from_millis(remaining) });
                }
                _ if same => tried = self.take(request, &claim).await?,
                _ => {
                    let fence = signed(&entry, "fence")?.unsigned_abs();
                    tried = self.replace(request, &claim, fence).await?;
                }
            }
        }
        // Others keep changing it, so somebody has it.
        Ok(Claim::Held { remaining: request.lease })
    }

    async fn renew(&self, claimed: &Claimed, now: SystemTime, lease: Duration) -> Result<(), LedgerError> {
        let update = self
            .update(claimed.id.key())
            .update_expression("SET lease_until = :until, expires = :expires")
            .expression_attribute_values(":until", number(millis(now + lease)))
            .expression_attribute_values(":expires", expires(now));
        self.under(claimed, update).await
    }

    async fn prepare(&self, claimed: &Claimed, record: &Record) -> Result<(), LedgerError> {
        let update = self.update(claimed.id.key());
        // The parts come first, so that they are there once the entry names them. Parts under a fence that was lost belong to
        // nobody, and expire.
        let mut count = 0;
        for part in record.parts() {
            if count == 0 && part.len() <= INLINE {
                let update = update.update_expression("SET prepared = :record REMOVE prepared_parts, prepared_fence");
                return self.under(claimed, update.expression_attribute_values(":record", bytes(&part))).await;
            }
            parts::put(&self.client, &self.table, claimed, count, &part).await?;
            count += 1;
        }
        let update = update
            .update_expression("SET prepared_parts = :parts, prepared_fence = :fence REMOVE prepared")
            .expression_attribute_values(":parts", number(count));
        self.under(claimed, update).await
    }

    async fn commit(&self, claimed: &Claimed, receipt: &Receipt) -> Result<(), LedgerError> {
        let update = self
            .update(claimed.id.key())
            .update_expression("SET #output = :output, fingerprint = :fingerprint REMOVE prepared, prepared_parts")
            .expression_attribute_names("#output", "output")
            .expression_attribute_values(":output", AttributeValue::S(receipt.output.clone()))
            .expression_attribute_values(":fingerprint", AttributeValue::S(receipt.fingerprint.to_string()));
        self.under(claimed, update).await
    }

    async fn release(&self, claimed: &Claimed, state: GiveBack) -> Result<(), LedgerError> {
        let update = self.update(claimed.id.key()).update_expression(match state {
            GiveBack::Unfinished => "SET lease_until = :never",
            GiveBack::Afresh => "SET lease_until = :never REMOVE begun, component, prepared, prepared_parts",
        });
        self.under(claimed, update.expression_attribute_values(":never", number(0))).await
    }
}

fn with_claim(update: UpdateItemFluentBuilder, request: &ClaimRequest, claim: &str) -> UpdateItemFluentBuilder {
    update
        .expression_attribute_values(":now", number(millis(request.now)))
        .expression_attribute_values(":until", number(millis(request.now + request.lease)))
        .expression_attribute_values(":expires", expires(request.now))
        .expression_attribute_values(":claim", AttributeValue::S(claim.into()))
        .expression_attribute_values(":component", AttributeValue::S(request.component.to_string()))
        .expression_attribute_values(":fingerprint", AttributeValue::S(request.fingerprint.to_string()))
}
