//! What decides whom a worker believes: signatures that anybody may attach, and the operator's own keys and policies.

use std::sync::LazyLock;

use gristmill::trust::{PolicyFile, PrivateKey, PublicKey, Signature};

use super::{first_line, in_proportion, short};

/// Nobody has its private half: no signature may fit it.
static KEY: LazyLock<PublicKey> = LazyLock::new(|| PrivateKey::generate().and_then(|key| key.public()).unwrap());

/// A signature; or, after a line `policy`, `public` or `private`, a policy file or a key.
pub fn trust(data: &[u8]) -> bool {
    let taken = match first_line(data) {
        Some(("policy", text)) => match std::str::from_utf8(text) {
            Ok(text) => {
                let policy = PolicyFile::parse(text);
                policy.as_ref().err().iter().for_each(|refusal| in_proportion(refusal, data));
                return policy.is_ok();
            }
            Err(_) => return false,
        },
        Some(("public", key)) => PublicKey::parse(key).map(|_| ()),
        Some(("private", key)) => PrivateKey::parse(key).map(|_| ()),
        _ => Signature::parse(data).map(|signature| {
            assert!(!signature.fits(&KEY, b"nobody signed this"));
        }),
    };
    taken.inspect_err(|refusal| short(refusal)).is_ok()
}
