//! The commands around a registry.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{CompileArgs, SetArgs};
use crate::registry::{Name, Share, Version};
use crate::trust::KeyRef;

/// `--registry`
#[derive(Debug, Args)]
pub struct RegistryArgs {
    /// The registry: a folder or `s3://bucket/prefix`.
    #[arg(long = "registry", env = "GRISTMILL_REGISTRY", value_name = "URI")]
    pub uri: String,
}

/// `gristmill publish`
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// The plugin's folder, with a `dataset.toml` in it, or a dataset file.
    pub plugin: PathBuf,
    /// The registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Sign it with this key: a file (PKCS #8), or a key of AWS KMS (`awskms:///ARN`). Several sign one after the other.
    #[arg(long = "key", value_name = "FILE|awskms:///KEY")]
    pub keys: Vec<KeyRef>,
    /// Where the component is compiled.
    #[command(flatten)]
    pub compile: CompileArgs,
    /// The variables; what has no value stands for itself while the version is checked.
    #[command(flatten)]
    pub variables: SetArgs,
}

/// `gristmill versions`
#[derive(Debug, Args)]
pub struct VersionsArgs {
    /// The dataset.
    pub name: Name,
    /// The registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Print them as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `gristmill promote`
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The dataset.
    pub name: Name,
    /// The version.
    // `version` is the name of `--version`, which every command has.
    #[arg(id = "release", value_name = "VERSION")]
    pub version: Version,
    /// The registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Give it only this share of the batches, and let the fleet judge it by `[release.canary]` of the stable version's file.
    #[arg(long, value_name = "PERCENT", conflicts_with = "shadow")]
    pub canary: Option<Share>,
    /// Run it beside the stable version on this share of the batches, and write nothing.
    #[arg(long, value_name = "PERCENT")]
    pub shadow: Option<Share>,
    /// Take it into use although it is older than what is in use.
    #[arg(long)]
    pub downgrade: bool,
    /// The workers' file that names who must have signed a version. What they would refuse is then refused here.
    #[arg(long, env = "GRISTMILL_TRUST", value_name = "FILE")]
    pub trust: Option<PathBuf>,
}

/// `gristmill rollback`
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The dataset.
    pub name: Name,
    /// The registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// `gristmill status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The dataset [default: all].
    pub name: Option<Name>,
    /// The registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Print it as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `gristmill keygen`
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// What the files are called: PREFIX.key is secret, PREFIX.pub is for those who verify. Neither may be there yet.
    pub prefix: PathBuf,
}

/// `gristmill sign`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["key", "signature", "document", "print_document"]))]
pub struct SignArgs {
    /// The dataset.
    pub name: Name,
    /// The version.
    // `version` is the name of `--version`, which every command has.
    #[arg(id = "release", value_name = "VERSION")]
    pub version: Version,
    /// Where the version is.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Sign with this key: a file (PKCS #8), or a key of AWS KMS (`awskms:///ARN`).
    #[arg(long, value_name = "FILE|awskms:///KEY")]
    pub key: Option<KeyRef>,
    /// Attach this signature over the release document: a .minisig, or what `cosign sign-blob` or `openssl dgst` wrote.
    #[arg(long, value_name = "FILE")]
    pub signature: Option<PathBuf>,
    /// Attach the signature only if this key made it: a file (PEM), or a key of AWS KMS.
    #[arg(long, value_name = "FILE|awskms:///KEY", conflicts_with_all = ["key", "document", "print_document"])]
    pub public_key: Option<KeyRef>,
    /// Write the release document to this file, for another tool to sign.
    #[arg(long, value_name = "FILE")]
    pub document: Option<PathBuf>,
    /// Write the release document to stdout.
    #[arg(long)]
    pub print_document: bool,
}
