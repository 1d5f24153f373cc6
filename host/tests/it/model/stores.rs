//! What the stores do when a request lands. Each keeps its promise to the letter and knows nothing of the protocol.

use super::protocol::{Protocol, Version};
use super::world::{Answer, Parts, Request, State, World};

impl Protocol {
    /// Does what a request asks for.
    pub(super) fn land(&self, world: &mut World, request: &Request) -> Answer {
        let (fence, checked, state) = match request {
            Request::Abort(uploads) => {
                for &id in uploads {
                    if world.uploads[id].state == Parts::Stored {
                        world.uploads[id].state = Parts::Aborted;
                    }
                }
                return Answer::Done;
            }
            Request::Row(number, run) => {
                let key = match (number, run) {
                    (0, _) => 0,
                    (_, Version::Old) => 1,
                    (_, Version::New) => 2,
                };
                world.table[key] = Some(*run);
                return Answer::Done;
            }
            Request::Complete(id) => {
                let upload = &mut world.uploads[*id];
                if upload.state == Parts::Stored {
                    upload.state = Parts::Completed;
                    world.object = Some((upload.run, *id));
                }
                let marked = world.object.is_some_and(|(_, mark)| mark == *id);
                return if marked { Answer::Done } else { Answer::Gone };
            }
            Request::Prepare(fence, record) => (fence, self.fence_at_prepare, State::Prepared(*record)),
            Request::Commit(fence, run) => (fence, self.fence_at_commit, State::Committed(*run)),
        };
        match world.entry.as_mut() {
            Some(entry) if entry.fence == *fence || !checked => {
                entry.state = state;
                world.receipts += u8::from(matches!(state, State::Committed(_)));
                Answer::Done
            }
            _ => Answer::Lost,
        }
    }
}
