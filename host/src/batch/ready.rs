//! Everything that is left to do for a batch once its items have run, as data, and how that is written into a record.

use std::io::Read;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use crate::admission::Holding;
use crate::callback::Answer;
use crate::cpu;
use crate::ledger::Record;
use crate::object::trace::Trace;
use crate::report::BatchReport;
use crate::sink::Effect;
use crate::sink::record::{Step, streams};

/// Everything that is left to do for a batch, as data.
pub(super) struct Ready {
    pub(super) report: BatchReport,
    pub(super) answer: Answer,
    pub(super) effects: Vec<Effect>,
    /// What the rows take, as long as they are there.
    pub(super) _holding: Option<Arc<Holding>>,
    /// What the items read, where that is remembered.
    pub(super) read: Option<Trace>,
}

/// What a record begins with. Behind it are the length of [`Head`] in four bytes, little-endian, the head as JSON, and the rows.
const MARK: &[u8; 8] = b"gristml2";

/// All of [`Ready`] but rows. What an earlier gristmill recorded is this alone, with the rows in it.
#[derive(Serialize, Deserialize)]
struct Head {
    report: BatchReport,
    answer: Answer,
    effects: Vec<Step>,
    /// What the items read, where that is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read: Option<Trace>,
}

impl Ready {
    /// What is ready, as the ledger keeps it.
    pub(super) fn record(self: &Arc<Self>) -> Result<Record, Fault> {
        let unwritten = |error: &dyn std::fmt::Display| Fault::Record(error.to_string());
        let effects = self.effects.iter().map(Step::from).collect();
        let head = Head { report: self.report.clone(), answer: self.answer.clone(), effects, read: self.read.clone() };
        let head = serde_json::to_vec(&head).map_err(|error| unwritten(&error))?;
        let length = u32::try_from(head.len()).map_err(|error| unwritten(&error))?;
        let head = [&MARK[..], &length.to_le_bytes(), &head].concat();
        let ready = self.clone();
        // Into memory, and of one schema: there is nothing that could fail.
        let rows = move || streams(&ready.effects).map(Result::unwrap_or_default);
        Ok(Record::made(move || std::iter::once(head.clone()).chain(rows())))
    }

    /// What an earlier attempt recorded; what it takes is the batch's.
    pub(super) async fn from_record(record: Record, holding: Holding) -> Result<Self, Fault> {
        let found = cpu::run(record.found(), move || read(&mut record.into_reader())).await;
        let (report, answer, effects, read) = found.map_err(Fault::Record)?;
        let rows = effects.iter().map(|effect| if let Effect::Put(rows) = effect { rows.memory() } else { 0 });
        holding.add(rows.sum::<usize>() as u64);
        Ok(Self { report, answer, effects, _holding: Some(Arc::new(holding)), read })
    }
}

fn read(record: &mut dyn Read) -> Result<(BatchReport, Answer, Vec<Effect>, Option<Trace>), String> {
    let broken = |error: std::io::Error| error.to_string();
    let mut mark = Vec::new();
    (&mut *record).take(MARK.len() as u64).read_to_end(&mut mark).map_err(broken)?;
    let head = if mark == MARK {
        let mut length = [0; 4];
        record.read_exact(&mut length).map_err(broken)?;
        serde_json::from_reader((&mut *record).take(u32::from_le_bytes(length).into()))
    } else {
        serde_json::from_reader(mark.as_slice().chain(&mut *record))
    };
    let Head { report, answer, effects, read } = head.map_err(|error| error.to_string())?;
    let effects = effects.into_iter().map(|step| step.with_rows(record)).collect::<Result<_, _>>()?;
    Ok((report, answer, effects, read))
}
