//! The summary as text for people.

use std::cmp::Reverse;
use std::fmt::{self, Write as _};
use std::time::Duration;

use indicatif::{DecimalBytes, HumanCount};

use super::{Batches, Items, MAX_LISTED, Output, RedoneBatches, Status, Summary};
use crate::batch::Cause;
use crate::map::units::{counted, duration, rate};
use crate::text::{block, line};

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = duration(Duration::try_from_secs_f64(self.elapsed_seconds).unwrap_or_default());
        match self.status {
            Status::Succeeded if self.items.total == 0 => {
                writeln!(f, "{}: there are no items: {}", self.dataset, line(&self.source))?
            }
            Status::Succeeded if self.nothing_new() => {
                writeln!(f, "{}: nothing new to do; everything had been done before", self.dataset)?;
            }
            Status::Succeeded => writeln!(f, "{}: succeeded in {elapsed}", self.dataset)?,
            Status::Failed => writeln!(f, "{}: FAILED after {elapsed}", self.dataset)?,
            Status::Interrupted => {
                writeln!(f, "{}: interrupted after {elapsed}; the same command goes on from here", self.dataset)?;
            }
        }
        if let Some(error) = &self.error {
            writeln!(f, "  {}: {}", error.name, line(&error.cause))?;
            writeln!(f, "  What is done stays done; the same command runs only the rest.")?;
        }
        for component in &self.components {
            let digest: String = component.digest.hex().chars().take(12).collect();
            let [name, version] = [&component.name, &component.version].map(|text| line(text));
            writeln!(f, "  component  {name} {version} (sha256:{digest}…)")?;
        }
        writeln!(f, "  items      {}", self.items)?;
        writeln!(f, "  batches    {}", self.batches)?;
        for (index, redone) in self.again.iter().enumerate() {
            writeln!(f, "  {}  {redone}", if index == 0 { "again    " } else { "         " })?;
        }
        for (index, output) in self.outputs.iter().enumerate() {
            writeln!(f, "  {}  {output}", if index == 0 { "output   " } else { "         " })?;
        }
        let mut codes: Vec<_> = self.failures.by_code.iter().collect();
        codes.sort_by_key(|(_, count)| Reverse(**count));
        for (index, (code, count)) in codes.iter().take(MAX_LISTED).enumerate() {
            let title = if index == 0 { "failures " } else { "         " };
            writeln!(f, "  {title}  {} × {}", HumanCount(**count), line(code))?;
            for example in self.failures.first.iter().filter(|example| example.code == **code) {
                let batch = || format!("batch {:06}", example.batch);
                let who = example.item.clone().unwrap_or_else(batch);
                writeln!(f, "               {}: {}", line(&who), block(&example.message, "                 "))?;
            }
        }
        if let Some(more) = codes.len().checked_sub(MAX_LISTED).filter(|more| *more > 0) {
            writeln!(f, "             and {more} more codes")?;
        }
        match self.reports.as_slice() {
            [] => {}
            [uri] => writeln!(f, "  report     {}", line(uri))?,
            [uri, ..] => writeln!(f, "  reports    {} and others", line(uri))?,
        }
        if self.items_per_second > 0.0 {
            let items = HumanCount(self.items_per_second as u64);
            let read = DecimalBytes(self.bytes_read);
            let speed = rate(self.bytes_per_second as u64, Duration::from_secs(1));
            writeln!(f, "  speed      {items} items/s, {speed} ({read} read)")?;
        }
        Ok(())
    }
}

impl fmt::Display for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = self.total.saturating_sub(self.succeeded + self.rejected + self.failed);
        let mut text = format!("{}: {} succeeded", HumanCount(self.total), HumanCount(self.succeeded));
        for (count, what) in [(self.rejected, "rejected"), (self.failed, "in failed batches"), (rest, "not run")] {
            if count > 0 {
                write!(text, ", {} {what}", HumanCount(count))?;
            }
        }
        f.write_str(&text)
    }
}

impl fmt::Display for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [done, replayed, failed] = [self.done, self.replayed, self.failed].map(HumanCount);
        write!(f, "{done} done now, {replayed} already done before, {failed} failed")
    }
}

impl fmt::Display for RedoneBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let their = if self.batches == 1 { "its" } else { "their" };
        write!(f, "{} again: ", counted(self.batches, "batch", "batches"))?;
        match self.cause {
            Cause::Asked => write!(f, "asked for")?,
            Cause::InputsChanged => write!(f, "{their} inputs changed")?,
            Cause::RulesChanged => write!(f, "{their} items were rejected under other grants or limits")?,
            Cause::OutputsGone => write!(f, "{their} outputs were gone or changed")?,
        }
        if let Some(first) = &self.first {
            write!(f, " ({}{})", line(first), if self.batches == 1 { "" } else { ", ..." })?;
        }
        Ok(())
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_nothing() {
            return write!(f, "{}: no rows, no file", self.output);
        }
        let place = line(self.local.as_ref().unwrap_or(&self.place));
        write!(f, "{}: {}, {}, in {place}", self.output, counted(self.rows, "row", "rows"), DecimalBytes(self.bytes))?;
        if self.objects > 1 {
            write!(f, " ({} objects)", HumanCount(self.objects))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
