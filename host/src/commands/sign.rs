//! `gristmill sign`: a signature for a version that is published already, by a key of ours or by another tool.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use bytes::Bytes;

use super::output::print;
use crate::aws;
use crate::cli::SignArgs;
use crate::files;
use crate::job::Digest;
use crate::registry::{self, Attachment, MAX_DOCUMENT, Registry, Release};
use crate::trust::{KeyRef, Kms, Signature, Signer};

pub(super) async fn run(args: SignArgs) -> anyhow::Result<ExitCode> {
    let registry = registry::open(&args.registry.uri, aws::load).await?;
    let kms = Kms::default();
    let (digest, document) = document(&*registry, &args).await?;
    let title = format!("{} {} ({digest})", args.name, args.version);
    let attach = async |signature: Bytes| registry.attach(&args.name, &digest, Attachment::Signature, signature).await;
    if let Some(key) = &args.key {
        let signer = Signer::open(key, &kms).await?;
        attach(signer.sign(&document).await?).await?;
        print(format!("{title}: signed with key {}\n", signer.public().id()))?;
    } else if let Some(file) = &args.signature {
        let signature = existing(file, &document, args.public_key.as_ref(), &kms).await?;
        attach(signature).await?;
        let verified =
            if args.public_key.is_some() { "" } else { "; which key made it was not looked at (--public-key)" };
        print(format!("{title}: {} is attached{verified}\n", file.display()))?;
    } else if let Some(file) = &args.document {
        std::fs::write(file, &document).with_context(|| file.display().to_string())?;
        print(format!("{title}: {} is what is to be signed\n", file.display()))?;
    } else {
        // Byte for byte: a line's end more, and no signature would fit.
        std::io::stdout().lock().write_all(&document).context("stdout")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The version's document, which has to be about this version: whoever may write into the registry shall not choose what
/// somebody else signs.
async fn document(registry: &dyn Registry, args: &SignArgs) -> anyhow::Result<(Digest, Bytes)> {
    let (name, version, uri) = (&args.name, &args.version, registry.uri());
    let found = registry.find(name, version).await?;
    let digest = found.with_context(|| format!("{uri} has no {name} {version}: publish it first"))?;
    let document = registry.blob(name, &digest, MAX_DOCUMENT).await?;
    let release = Release::parse(&document)?;
    anyhow::ensure!(
        release.name == *name && release.version == *version,
        "{uri} has {} under the version {version} of {name}: nothing was signed",
        release.title()
    );
    Ok((digest, document))
}

/// A signature from a file, if it is one, and by this key if there is one.
async fn existing(file: &Path, document: &[u8], key: Option<&KeyRef>, kms: &Kms) -> anyhow::Result<Bytes> {
    let at = || file.display().to_string();
    let bytes = Bytes::from(files::read_given(file, MAX_DOCUMENT).with_context(at)?);
    let signature = Signature::parse(&bytes).with_context(at)?;
    if let Some(key) = key {
        anyhow::ensure!(
            signature.fits(&key.public(kms).await?, document),
            "{}: this key did not make it, or over something else than the release document, which `gristmill sign \
             --document FILE` writes; nothing was attached",
            file.display()
        );
    }
    Ok(bytes)
}
