//! What servers and repositories of containers are called.

/// Whether this can be a server's name, with its port if it has one.
pub(in super::super) fn is_host(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
}

/// The path of a repository: parts of lower-case letters and digits, between which `.`, `_`, `__` or any number of `-` may
/// stand (OCI distribution specification, "Pulling manifests").
pub(in super::super) fn is_repository(path: &str) -> bool {
    let separated = |part: &str| {
        let runs = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|run| !run.is_empty());
        runs.into_iter().all(|run| matches!(run, "." | "_" | "__") || run.chars().all(|c| c == '-'))
    };
    let ends = |part: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(plain) && part.ends_with(plain)
    };
    path.len() <= 255 && path.split('/').all(|part| ends(part) && separated(part))
}

/// The URI of a tag or a digest.
pub(in super::super) fn place(host: &str, repository: &str, name: &str) -> String {
    let mark = if name.starts_with("sha256:") { '@' } else { ':' };
    format!("oci://{host}/{repository}{mark}{name}")
}

/// Registries on this machine have no certificate.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = host.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(':').unwrap_or(host);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_lower_case_parts() {
        for path in ["a--b", "a__b", "noaa-precipitation", "p/a.b", "a/b/c"] {
            assert!(is_repository(path), "{path:?}");
        }
        let none = ["", "/a", "a/", "a//b", "../a", "A", "a/..", "a/.b", "Stations", "a_-b", "a___b", "ends-", "ends_"];
        for path in none {
            assert!(!is_repository(path), "{path:?}");
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["ghcr.io", "127.0.0.1.example.com", "localhost.example.com:443", "10.0.0.1:5000"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
