//! A conversation with a child process: a question, and its answer or why there is none.
//!
//! Both ends are this program. A question is a line of JSON and the component's bytes; an answer is a line of JSON and
//! the code. The question's pipe stays open until there is an answer. If it is closed before, nobody waits for one any
//! more.

use std::io::{BufRead as _, BufReader, BufWriter, Error, ErrorKind, Read, Result as IoResult, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::Signal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::bounds::Bounds;

/// The longest line, and the most code, that is accepted. A Python component of 19 MB compiles to 40 to 100 MB.
const MAX_LINE: u64 = 16 << 20;
const MAX_CODE: u64 = 512 << 20;
/// How much of the child's stderr is looked at.
const MAX_STDERR: u64 = 16 << 10;

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Digest the component of this size that follows, with so many threads.
    Component { size: u64, threads: usize },
    /// Check settings against a plugin's schema, both as JSON.
    Settings { plugin: String, schema: String, settings: String },
}

/// The line of an answer.
#[derive(Serialize, Deserialize)]
struct Head<A> {
    answer: A,
    /// How many bytes of code follow.
    code: u64,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The child wanted more memory than it may have.
    Memory,
    /// It was killed: by the system, which ran out of memory.
    Killed,
    /// It used up its CPU time.
    Cpu,
    /// Its time was over.
    Time,
    /// It made more code than is accepted.
    Code,
    /// It ended in any other way.
    Broke,
    /// It could not do its work at all.
    NotStarted(String),
}

/// Asks a new child process within these bounds. Dropping the future ends the process.
pub(super) async fn ask<A>(
    program: &Path,
    bounds: &Bounds,
    request: Request,
    component: Bytes,
) -> Result<(A, Bytes), Ended>
where
    A: DeserializeOwned + Send + 'static,
{
    let mut command = Command::new(program);
    let (memory, cpu) = (bounds.memory.to_string(), bounds.cpu.as_secs().max(1).to_string());
    command.args(["digest", "--memory", &memory, "--cpu", &cpu]);
    // The child inherits no variables: they may hold credentials.
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (events, happened) = channel();
    let _waiting = Waiting(events.clone());
    let time = bounds.time;
    let conversation =
        tokio::task::spawn_blocking(move || converse(command, &request, &component, time, events, &happened));
    conversation.await.unwrap_or(Err(Ended::Broke))
}

enum Event<A> {
    /// There is an answer; or there is none, and perhaps a reason.
    Answered(Result<(A, Bytes), Option<Ended>>),
    /// Nobody waits any more.
    Abandoned,
}

struct Waiting<A>(Sender<Event<A>>);

impl<A> Drop for Waiting<A> {
    fn drop(&mut self) {
        let _ = self.0.send(Event::Abandoned);
    }
}

fn converse<A: DeserializeOwned + Send>(
    mut command: Command,
    request: &Request,
    component: &[u8],
    time: Duration,
    events: Sender<Event<A>>,
    happened: &Receiver<Event<A>>,
) -> Result<(A, Bytes), Ended> {
    let not_started = |error: Error| Ended::NotStarted(error.to_string());
    let mut child = command.spawn().map_err(not_started)?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
        return Err(Ended::NotStarted("it has no pipes".into()));
    };
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| put(stdin, request, component));
        let complaining = scope.spawn(|| complaints(stderr));
        scope.spawn(move || _ = events.send(Event::Answered(answer(stdout))));
        let event = happened.recv_timeout(time);
        if !matches!(event, Ok(Event::Answered(Ok(_)))) {
            // A child that has ended by itself is not affected, and its status stays as it was.
            let _ = child.kill();
        }
        // Only now is the question's pipe closed.
        drop(asking.join());
        let status = child.wait().map_err(not_started)?;
        match event {
            Ok(Event::Answered(Ok(answer))) => Ok(answer),
            Ok(Event::Answered(Err(Some(why)))) => Err(why),
            Ok(Event::Answered(Err(None))) => Err(ended(status, &complaining.join().unwrap_or_default())),
            Ok(Event::Abandoned) | Err(_) => Err(Ended::Time),
        }
    })
}

/// Writes the question, and returns the pipe, which has to stay open.
fn put<W: Write>(mut pipe: W, request: &Request, component: &[u8]) -> IoResult<W> {
    write_line(&mut pipe, request)?;
    pipe.write_all(component)?;
    pipe.flush()?;
    Ok(pipe)
}

fn answer<A: DeserializeOwned>(pipe: impl Read) -> Result<(A, Bytes), Option<Ended>> {
    let mut pipe = BufReader::new(pipe);
    let cut_short = |_: Error| None::<Ended>;
    let Head { answer, code } = read_line(&mut pipe).map_err(cut_short)?;
    if code > MAX_CODE {
        return Err(Some(Ended::Code));
    }
    Ok((answer, read_exactly(pipe, code).map_err(cut_short)?))
}

/// The beginning of the child's stderr. The rest is read too, so that the child never waits for a reader.
fn complaints(mut pipe: impl Read) -> String {
    let mut said = Vec::new();
    let _ = pipe.by_ref().take(MAX_STDERR).read_to_end(&mut said);
    let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    String::from_utf8_lossy(&said).into_owned()
}

fn ended(status: ExitStatus, said: &str) -> Ended {
    match status.signal() {
        Some(signal) if signal == Signal::XCPU.as_raw() => Ended::Cpu,
        Some(signal) if signal == Signal::KILL.as_raw() => Ended::Killed,
        _ if is_want_of_memory(said) => Ended::Memory,
        _ => Ended::Broke,
    }
}

/// Whether Rust's allocator or the system says here that there is no more memory.
pub(super) fn is_want_of_memory(said: &str) -> bool {
    said.contains("memory allocation of") || said.contains("Cannot allocate memory") || said.contains("out of memory")
}

/// Reads the question, in the process that is asked.
pub(super) fn get(mut pipe: impl Read) -> IoResult<(Request, Bytes)> {
    let mut pipe = BufReader::new(&mut pipe);
    let request = read_line(&mut pipe)?;
    let component = match &request {
        Request::Component { size, .. } => read_exactly(pipe, *size)?,
        Request::Settings { .. } => Bytes::new(),
    };
    Ok((request, component))
}

/// Writes the answer, in the process that is asked.
pub(super) fn reply(pipe: impl Write, answer: &impl Serialize, code: &[u8]) -> IoResult<()> {
    let mut pipe = BufWriter::new(pipe);
    write_line(&mut pipe, &Head { answer, code: code.len() as u64 })?;
    pipe.write_all(code)?;
    pipe.flush()
}

fn write_line(mut pipe: impl Write, value: &impl Serialize) -> IoResult<()> {
    // JSON has line breaks only between tokens, and serde_json writes none there.
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    pipe.write_all(&line)
}

fn read_line<T: DeserializeOwned>(pipe: &mut BufReader<impl Read>) -> IoResult<T> {
    let mut line = Vec::new();
    pipe.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}

fn read_exactly(mut pipe: impl Read, size: u64) -> IoResult<Bytes> {
    let mut bytes = vec![0; usize::try_from(size).map_err(Error::other)?];
    pipe.read_exact(&mut bytes)?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_and_an_answer_arrive_as_they_were() {
        let request = Request::Component { size: 3, threads: 2 };
        let pipe = put(Vec::new(), &request, b"\nab").unwrap();
        let (read, component) = get(&pipe[..]).unwrap();
        assert!(matches!(read, Request::Component { size: 3, threads: 2 }));
        assert_eq!(&component[..], b"\nab");
        assert!(get(&pipe[..pipe.len() - 1]).is_err());

        let mut pipe = Vec::new();
        reply(&mut pipe, &"a\nb", b"code").unwrap();
        assert_eq!(answer::<String>(&pipe[..]), Ok(("a\nb".into(), Bytes::from_static(b"code"))));
        for end in 0..pipe.len() {
            assert_eq!(answer::<String>(&pipe[..end]), Err(None), "{end} bytes");
        }
    }

    #[test]
    fn more_code_than_is_taken_is_not_read() {
        let mut pipe = Vec::new();
        write_line(&mut pipe, &Head { answer: (), code: MAX_CODE + 1 }).unwrap();
        assert_eq!(answer::<()>(&pipe[..]), Err(Some(Ended::Code)));
    }

    #[test]
    fn how_it_ended_is_told_by_its_signal_and_its_last_words() {
        let killed_by = |signal: Signal| ExitStatus::from_raw(signal.as_raw());
        let abort = killed_by(Signal::ABORT);
        for (status, said, expected) in [
            (killed_by(Signal::XCPU), "", Ended::Cpu),
            (killed_by(Signal::KILL), "", Ended::Killed),
            (abort, "memory allocation of 16777216 bytes failed\n", Ended::Memory),
            (ExitStatus::from_raw(1 << 8), "error: Cannot allocate memory (os error 12)", Ended::Memory),
            (abort, "thread 'main' has overflowed its stack", Ended::Broke),
            (killed_by(Signal::SEGV), "", Ended::Broke),
            (ExitStatus::from_raw(0), "", Ended::Broke),
        ] {
            assert_eq!(ended(status, said), expected, "{status} {said}");
        }
    }
}
