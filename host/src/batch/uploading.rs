//! Lines that a batch without items writes to an object.

use super::fault::Fault;
use super::services::Services;
use crate::conclude::ConcludeError;
use crate::object::{ContentType, Location, Uploaded};
use crate::sink::{SinkError, object_error};

/// How many bytes are written at once.
const WRITE: usize = 1 << 20;

/// Uploads lines, and says how many there are.
pub(super) async fn write(
    services: &Services,
    at: &Location,
    lines: impl Iterator<Item = Result<String, ConcludeError>>,
) -> Result<(Uploaded, u64), Fault> {
    // What an earlier attempt left of it, it cannot make visible any more.
    services.stores.objects.abort_uploads(at).await.map_err(object_error)?;
    let mut upload = services.stores.objects.upload(at, ContentType::JsonLines).await.map_err(object_error)?;
    let (mut text, mut count) = (String::new(), 0);
    for line in lines {
        text += &line.map_err(fault)?;
        count += 1;
        if text.len() >= WRITE {
            upload.write(std::mem::take(&mut text).into()).await.map_err(object_error)?;
        }
    }
    upload.write(text.into()).await.map_err(object_error)?;
    Ok((upload.finish().await.map_err(object_error)?, count))
}

/// Why what a stage committed could not be had.
pub(super) fn fault(error: ConcludeError) -> Fault {
    match error {
        ConcludeError::Unavailable(error) => Fault::Objects(error),
        ConcludeError::Refused(why) => Fault::Sink(SinkError::Refused(why)),
    }
}
