//! Signatures as people make them: `gristmill keygen` and `sign`, and OpenSSL, which they have already.
//! What it writes stands for what `cosign sign-blob --key` does, which Debian does not have.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use gristmill::aws;
use gristmill::job::Digest;
use gristmill::registry::{self, Attachment, Package, Registry};
use gristmill::trust::{Kms, Policy, TrustError};
use insta::assert_snapshot;
use tempfile::TempDir;

use crate::emulator;
use crate::laptop::{Said, gristmill};

/// A folder with a registry, in which there is one release; and keys beside it.
struct Desk {
    folder: TempDir,
    package: Package,
}

impl Desk {
    async fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap(), package: package("0.2.0") };
        desk.registry().await.add(&desk.package).await.unwrap();
        desk
    }

    async fn registry(&self) -> std::sync::Arc<dyn Registry> {
        registry::open(self.path("registry").to_str().unwrap(), aws::load).await.unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = gristmill();
        command.args(args).current_dir(self.folder.path());
        command
    }

    /// `gristmill ...`
    fn run(&self, args: &[&str]) -> Said {
        said(&mut self.command(args))
    }

    /// `gristmill sign pump 0.2.0 ...`
    fn sign(&self, args: &[&str]) -> Said {
        self.run(&[&["sign", "pump", "0.2.0", "--registry", "registry"], args].concat())
    }

    /// A tool that has to be here, and to succeed.
    fn tool(&self, tool: &str, args: &[&str]) -> Vec<u8> {
        let output = Command::new(tool).args(args).current_dir(self.folder.path()).output();
        let output = output.unwrap_or_else(|error| panic!("{tool}: {error}: run `make emulator` first"));
        assert!(output.status.success(), "{tool} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    async fn signatures(&self) -> Vec<Bytes> {
        let (name, digest) = (&self.package.release.name, self.package.digest());
        self.registry().await.attached(name, &digest, Attachment::Signature).await.unwrap()
    }

    /// Who signed, if all keys in these files had to.
    async fn verify(&self, keys: &[&str]) -> Result<Vec<String>, TrustError> {
        let names: Vec<String> = (0..keys.len()).map(|number| format!("\"key{number}\"")).collect();
        let keys: String = names.iter().zip(keys).map(|(name, key)| format!("{name} = \"{key}\"\n")).collect();
        self.write("trust.toml", format!("all_of = [{}]\n[keys]\n{keys}", names.join(", ")));
        let policy = Policy::load(&self.path("trust.toml"), &Kms::new(&emulated().await)).await?;
        policy.verify(&self.package.document, &self.signatures().await)
    }
}

/// The configuration of AWS without any region or credentials but the emulator's.
async fn emulated() -> aws::SdkConfig {
    emulator::config(emulator::shared())
}

fn package(version: &str) -> Package {
    let sample = BTreeMap::from([("a.csv".to_owned(), Bytes::from("a\n1\n"))]);
    let (name, version) = ("pump".parse().unwrap(), version.parse().unwrap());
    Package::new(name, version, "dataset = \"pump\"".into(), "component".into(), sample).unwrap()
}

/// What a command said, with digests and temporary folders taken out.
fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).unwrap();
        let parts = text.split("sha256:").enumerate().map(|(number, part)| match number {
            0 => part.to_owned(),
            _ => format!("sha256:DIGEST{}", part.trim_start_matches(|c: char| c.is_ascii_hexdigit())),
        });
        parts.collect::<String>()
    };
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

#[tokio::test]
async fn a_new_key_signs_and_its_public_half_verifies() {
    let desk = Desk::new().await;
    assert_snapshot!(desk.run(&["keygen", "build-1.0"]).all(), @"
    exit 0
    build-1.0.key: signs (keep it secret: whoever has it signs in your name)
    build-1.0.pub: verifies; key sha256:DIGEST
    ");
    let mode = |name: &str| fs::metadata(desk.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("build-1.0.key"), 0o600);
    assert_eq!(mode("build-1.0.pub") & 0o022, 0, "nobody else may write it");

    let unsigned = desk.verify(&["build-1.0.pub"]).await.unwrap_err();
    assert_eq!(unsigned.to_string(), "not signed by `key0`; signed by: none of the trusted keys");
    assert_snapshot!(desk.sign(&["--key", "build-1.0.key"]).all(), @"
    exit 0
    pump 0.2.0 (sha256:DIGEST): signed with key sha256:DIGEST
    ");
    assert_eq!(desk.sign(&["--key", "build-1.0.key"]).code, Some(0));
    assert_eq!(desk.verify(&["build-1.0.pub"]).await, Ok(vec!["key0".to_owned()]));
    assert_eq!(desk.signatures().await.len(), 1, "who signs twice signs the same");

    desk.run(&["keygen", "other"]);
    assert!(matches!(desk.verify(&["other.pub"]).await, Err(TrustError::Untrusted(_))));
    assert!(matches!(desk.verify(&["other.pub", "build-1.0.pub"]).await, Err(TrustError::Untrusted(_))));
}

#[tokio::test]
async fn a_key_is_never_overwritten() {
    let desk = Desk::new().await;
    desk.write("build.key", "precious");
    assert_snapshot!(desk.run(&["keygen", "build"]).all(), @"
    exit 2
    error: build.key cannot be made: File exists (os error 17)
    ");
    assert!(!desk.path("build.pub").exists());
    desk.write("half.pub", "precious");
    assert_snapshot!(desk.run(&["keygen", "half"]).all(), @"
    exit 2
    error: half.pub is there already, and is not overwritten
    ");
    assert!(!desk.path("half.key").exists());
    assert_eq!(fs::read_to_string(desk.path("build.key")).unwrap(), "precious");
    assert!(desk.run(&["keygen", "no/such/folder/build"]).err.contains("build.key cannot be made: No such file"));
}

#[tokio::test]
async fn what_another_tool_signs_is_attached_if_the_key_made_it() {
    let desk = Desk::new().await;
    for key in ["alice", "eve"] {
        let (secret, public) = (format!("{key}.key"), format!("{key}.pub"));
        desk.tool("openssl", &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &secret]);
        desk.tool("openssl", &["pkey", "-in", &secret, "-pubout", "-out", &public]);
    }
    assert_snapshot!(desk.sign(&["--document", "release.json"]).all(), @"
    exit 0
    pump 0.2.0 (sha256:DIGEST): release.json is what is to be signed
    ");
    desk.tool("openssl", &["dgst", "-sha256", "-sign", "alice.key", "-out", "release.sig", "release.json"]);
    let attached = desk.sign(&["--signature", "release.sig", "--public-key", "eve.pub"]);
    assert_eq!(attached.code, Some(2));
    assert!(
        attached.err.contains("this key did not make it") && desk.signatures().await.is_empty(),
        "{}",
        attached.err
    );
    assert_snapshot!(desk.sign(&["--signature", "release.sig", "--public-key", "alice.pub"]).all(), @"
    exit 0
    pump 0.2.0 (sha256:DIGEST): release.sig is attached
    ");
    assert_eq!(desk.verify(&["alice.pub"]).await, Ok(vec!["key0".to_owned()]));
    assert!(matches!(desk.verify(&["eve.pub"]).await, Err(TrustError::Untrusted(_))));

    desk.write("release.minisig", "untrusted comment: signature from minisign secret key\nRUTd\n");
    let refused = desk.sign(&["--signature", "release.minisig"]);
    assert!(refused.err.contains("release.minisig: this is no signature: "), "{}", refused.err);
}

#[tokio::test]
async fn openssl_signs_as_cosign_does_and_verifies_what_we_sign() {
    let desk = Desk::new().await;
    desk.tool("openssl", &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "cosign.key"]);
    desk.tool("openssl", &["pkey", "-in", "cosign.key", "-pubout", "-out", "cosign.pub"]);
    desk.write(
        "release.json",
        desk.command(&["sign", "pump", "0.2.0", "--registry", "registry", "--print-document"]).output().unwrap().stdout,
    );
    assert_eq!(Digest::of(&fs::read(desk.path("release.json")).unwrap()), desk.package.digest());
    desk.tool("openssl", &["dgst", "-sha256", "-sign", "cosign.key", "-out", "release.sig", "release.json"]);
    let in_lines = desk.tool("openssl", &["base64", "-in", "release.sig"]);
    desk.write("release.lines", in_lines);
    // As `cosign sign-blob` writes it: one line, without an end.
    let in_one_line = desk.tool("openssl", &["base64", "-A", "-in", "release.sig"]);
    desk.write("release.base64", in_one_line);
    for form in ["release.sig", "release.lines", "release.base64"] {
        let attached = desk.sign(&["--signature", form, "--public-key", "cosign.pub"]);
        assert_eq!(attached.code, Some(0), "{form}: {}", attached.err);
    }
    assert_eq!(desk.signatures().await.len(), 3);
    assert_eq!(desk.verify(&["cosign.pub"]).await, Ok(vec!["key0".to_owned()]));

    // The same key signs with us, and OpenSSL verifies it.
    let another = Desk::new().await;
    fs::copy(desk.path("cosign.key"), another.path("cosign.key")).unwrap();
    assert_eq!(another.sign(&["--key", "cosign.key"]).code, Some(0));
    let own: serde_json::Value = serde_json::from_slice(&another.signatures().await[0]).unwrap();
    desk.write("own.base64", format!("{}\n", own["signature"].as_str().unwrap()));
    desk.tool("openssl", &["base64", "-d", "-A", "-in", "own.base64", "-out", "own.sig"]);
    desk.tool("openssl", &["dgst", "-sha256", "-verify", "cosign.pub", "-signature", "own.sig", "release.json"]);
}

#[tokio::test]
async fn keys_of_other_kinds_are_refused_with_what_to_do() {
    let desk = Desk::new().await;
    desk.tool("openssl", &["ecparam", "-genkey", "-name", "prime256v1", "-out", "sec1.key"]);
    desk.tool("openssl", &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", "p384.key"]);
    desk.tool("openssl", &["genpkey", "-algorithm", "RSA", "-out", "rsa.key"]);
    desk.tool("openssl", &["pkcs8", "-topk8", "-in", "sec1.key", "-passout", "pass:x", "-out", "encrypted.key"]);
    desk.tool("openssl", &["pkcs8", "-topk8", "-nocrypt", "-in", "sec1.key", "-out", "converted.key"]);
    for (file, expected) in [
        ("sec1.key", "openssl pkcs8 -topk8 -nocrypt"),
        ("p384.key", "no private key of ECDSA over P-256"),
        ("rsa.key", "no private key of ECDSA over P-256"),
        ("encrypted.key", "decrypt it with"),
        ("nothing.key", "No such file"),
    ] {
        let refused = desk.sign(&["--key", file]);
        assert_eq!(refused.code, Some(2), "{file}");
        assert!(
            refused.err.starts_with(&format!("error: {file}: ")) && refused.err.contains(expected),
            "{}",
            refused.err
        );
        assert_eq!(refused.err.lines().count(), 1, "{}", refused.err);
    }
    assert!(desk.signatures().await.is_empty());
    assert_eq!(desk.sign(&["--key", "converted.key"]).code, Some(0), "what was said to do helps");
}

#[tokio::test]
async fn nobody_signs_what_was_not_asked_for() {
    let desk = Desk::new().await;
    desk.run(&["keygen", "build"]);
    let sign = |version: &str| desk.run(&["sign", "pump", version, "--registry", "registry", "--key", "build.key"]);
    assert_snapshot!(sign("9.9.9").all(), @"
    exit 2
    error: registry has no pump 9.9.9: publish it first
    ");
    // Somebody moves a version to another release.
    let other = package("0.3.0");
    desk.registry().await.add(&other).await.unwrap();
    let versions = desk.path("registry/names/pump/versions");
    fs::copy(versions.join("0.3.0"), versions.join("0.2.0")).unwrap();
    assert_snapshot!(sign("0.2.0").all(), @"
    exit 2
    error: registry has pump 0.3.0 under the version 0.2.0 of pump: nothing was signed
    ");
    let attached = desk.registry().await.attached(&other.release.name, &other.digest(), Attachment::Signature).await;
    assert_eq!(attached, Ok(vec![]));
    assert_snapshot!(sign("../0.3.0").err.lines().next().unwrap(), @"error: invalid value '../0.3.0' for '<VERSION>': \"../0.3.0\" is not a version (semver.org): unexpected character '.' while parsing major version number");
}

#[tokio::test]
async fn what_is_to_be_done_is_said_once() {
    let desk = Desk::new().await;
    for args in [
        &[][..],
        &["--key", "a", "--print-document"],
        &["--key", "a", "--signature", "b"],
        &["--public-key", "a", "--key", "b"],
    ] {
        let refused = desk.sign(args);
        assert_eq!(refused.code, Some(2), "{args:?}");
        assert!(
            refused.err.contains("required arguments") || refused.err.contains("cannot be used with"),
            "{}",
            refused.err
        );
    }
    assert!(desk.sign(&["--key", "awskms://build"]).err.contains("with three slashes"));
}

#[tokio::test]
async fn a_flipped_byte_in_the_registry_is_no_signature() {
    let desk = Desk::new().await;
    for key in ["build", "alice"] {
        desk.run(&["keygen", key]);
        assert_eq!(desk.sign(&["--key", &format!("{key}.key")]).code, Some(0));
    }
    assert_eq!(desk.verify(&["build.pub", "alice.pub"]).await, Ok(vec!["key0".to_owned(), "key1".to_owned()]));
    let folder = desk.path("registry/names/pump/signature").join(desk.package.digest().hex());
    let files = || fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let good: Vec<PathBuf> = files().collect();
    // Whoever may write there calls what he changed by its new digest.
    for file in &good {
        let mut changed = fs::read(file).unwrap();
        changed[150] ^= 1;
        fs::write(folder.join(Digest::of(&changed).hex()), changed).unwrap();
    }
    assert_eq!(files().count(), 4);
    assert_eq!(
        desk.verify(&["build.pub", "alice.pub"]).await.map(|names| names.len()),
        Ok(2),
        "the good ones still count"
    );
    good.iter().for_each(|file| fs::remove_file(file).unwrap());
    let refused = desk.verify(&["build.pub", "alice.pub"]).await.unwrap_err().to_string();
    assert!(
        refused.starts_with("not signed by `key0`, nor by `key1`; signed by: none of the trusted keys ("),
        "{refused}"
    );
}

/// The ARN of a new key of this kind. The emulator looks at what a request was signed for, and not at the signature.
async fn new_key_in_kms(spec: &str) -> String {
    let config = emulated().await;
    let region = config.region().unwrap();
    let signed =
        format!("AWS4-HMAC-SHA256 Credential=test/20260101/{region}/kms/aws4_request, SignedHeaders=host, Signature=0");
    let request = reqwest::Client::new().post(config.endpoint_url().unwrap()).header("authorization", signed);
    let request = request.header("content-type", "application/x-amz-json-1.1");
    let request = request.header("x-amz-target", "TrentService.CreateKey");
    let request = request.body(serde_json::json!({"KeySpec": spec, "KeyUsage": "SIGN_VERIFY"}).to_string());
    let answer = request.send().await.unwrap().bytes().await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    answer["KeyMetadata"]["Arn"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn a_key_in_kms_signs_and_verifies() {
    let desk = Desk::new().await;
    let arn = new_key_in_kms("ECC_NIST_P256").await;
    let sign = |key: &str| {
        let mut command = desk.command(&["sign", "pump", "0.2.0", "--registry", "registry", "--key", key]);
        said(command.envs(emulator::environment(emulator::shared())))
    };
    let signed = sign(&arn);
    assert_eq!(signed.code, Some(0), "{}", signed.err);
    assert_eq!(desk.verify(&[&format!("awskms:///{arn}")]).await, Ok(vec!["key0".to_owned()]));

    let other = new_key_in_kms("ECC_NIST_P256").await;
    assert!(matches!(desk.verify(&[&other]).await, Err(TrustError::Untrusted(_))));
    for (key, expected) in [
        (new_key_in_kms("RSA_2048").await, "its kind is RSA_2048; expected a key of kind ECC_NIST_P256"),
        (arn.replace("key/", "key/00"), "NotFoundException"),
    ] {
        let refused = sign(&key);
        assert!(refused.code == Some(2) && refused.err.contains(expected), "{}", refused.err);
        let refused = desk.verify(&[&key]).await.unwrap_err();
        assert!(
            matches!(refused, TrustError::Invalid(_)) && refused.to_string().contains("trust.toml: keys.key0: "),
            "{refused}"
        );
    }
}
