//! Registries in Amazon S3 (an emulator) and in an OCI registry (Debian's): the contract suite that the folder keeps in the unit
//! tests, and what is particular to each.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_s3::Client;
use gristmill::job::Digest;
use gristmill::registry::contract::{self, Tampered};
use gristmill::registry::{self, MAX_BLOB, Name, Package, Registry, RegistryError};
use oci_client::Reference;
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;

use crate::container_registry::ContainerRegistry;
use crate::emulator;
use crate::laptop::Laptop;
use crate::support::plugin;

async fn open(uri: &str) -> Arc<dyn Registry> {
    registry::open(uri, || std::future::ready(emulator::config(emulator::shared()))).await.unwrap()
}

struct Bucket(Client);

impl Bucket {
    async fn new() -> Self {
        let config = emulator::config(emulator::shared());
        let config = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
        let client = Client::from_conf(config);
        client.create_bucket().bucket("contract-registry").send().await.unwrap();
        Self(client)
    }
}

impl Tampered for Bucket {
    async fn open(&self) -> Arc<dyn Registry> {
        open("s3://contract-registry/some/prefix").await
    }

    async fn damage(&self, _: &Name, digest: &Digest) {
        let key = format!("some/prefix/blobs/sha256/{}", digest.hex());
        let object = || (self.0.get_object().bucket("contract-registry").key(&key)).send();
        let mut bytes = object().await.unwrap().body.collect().await.unwrap().to_vec();
        bytes[3] ^= 1;
        self.0.put_object().bucket("contract-registry").key(&key).body(bytes.into()).send().await.unwrap();
    }
}

#[tokio::test]
async fn s3_keeps_the_contract_of_registries() {
    contract::suite(&Bucket::new().await).await;
    let nowhere = open("s3://gristmill-no-such-bucket/x").await;
    let missing = [nowhere.newest().await.map(|_| ()), nowhere.advance(1, "x".into()).await.map(|_| ())];
    for error in missing {
        assert!(matches!(&error, Err(RegistryError::NotFound(text)) if text.contains("no bucket")), "{error:?}");
    }
}

/// A registry below a prefix.
async fn open_oci(server: &ContainerRegistry) -> Arc<dyn Registry> {
    let uri = format!("oci://{}/some/prefix", server.host);
    registry::open(&uri, || async { unreachable!("a registry of containers that is not ECR needs no AWS") })
        .await
        .unwrap()
}

impl Tampered for ContainerRegistry {
    async fn open(&self) -> Arc<dyn Registry> {
        open_oci(self).await
    }

    async fn damage(&self, _: &Name, digest: &Digest) {
        let mut bytes = std::fs::read(self.blob(digest)).unwrap();
        bytes[3] ^= 1;
        std::fs::write(self.blob(digest), bytes).unwrap();
    }
}

#[tokio::test]
async fn an_oci_registry_keeps_the_contract_of_registries() {
    contract::suite(&ContainerRegistry::open()).await;
}

/// The client as anybody uses it.
fn anybody() -> oci_client::Client {
    oci_client::Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() })
}

fn image(server: &ContainerRegistry, name: &str, tag: &str) -> Reference {
    Reference::with_tag(server.host.clone(), format!("some/prefix/{name}"), tag.into())
}

fn package(name: &str, version: &str, component: Vec<u8>) -> Package {
    let sample = BTreeMap::from([("a.csv".to_owned(), "a\n1\n".into())]);
    let dataset = format!("dataset = \"{name}\"");
    Package::new(name.parse().unwrap(), version.parse().unwrap(), dataset.into(), component.into(), sample).unwrap()
}

#[tokio::test]
async fn a_component_lies_there_as_other_tools_expect_it() {
    let server = ContainerRegistry::open();
    let component = std::fs::read(plugin("noaa-precipitation")).unwrap();
    open_oci(&server).await.add(&package("noaa", "0.1.0", component.clone())).await.unwrap();
    let at = image(&server, "noaa", "0.1.0");
    let pulled = anybody().pull(&at, &RegistryAuth::Anonymous, vec!["application/wasm"]).await.unwrap();
    assert_eq!(pulled.layers.len(), 1);
    assert!(pulled.layers[0].data == component, "the component differs");
    assert_eq!(pulled.config.media_type, "application/vnd.wasm.config.v0+json");
    let config: serde_json::Value = serde_json::from_slice(&pulled.config.data).unwrap();
    let digest = Digest::of(&component).to_string();
    assert_eq!((&config["architecture"], &config["os"]), (&"wasm".into(), &"wasip2".into()));
    assert_eq!(config["layerDigests"], serde_json::json!([digest]));
    assert!(config["created"].is_string() && config["component"]["imports"].is_array());
    let manifest = pulled.manifest.unwrap();
    assert_eq!((manifest.layers.len(), &*manifest.layers[0].media_type), (1, "application/wasm"));
    assert_eq!(manifest.media_type.as_deref(), Some(OCI_IMAGE_MEDIA_TYPE));
    let annotations = manifest.layers[0].annotations.as_ref().unwrap();
    assert_eq!(annotations["org.opencontainers.image.title"], "noaa.wasm");
}

#[tokio::test]
async fn a_tag_that_is_moved_changes_nothing_that_was_resolved() {
    let server = ContainerRegistry::open();
    let registry = open_oci(&server).await;
    let (one, two) = (package("moved", "1.0.0", b"one".into()), package("moved", "2.0.0", b"two".into()));
    for package in [&one, &two] {
        registry.add(package).await.unwrap();
    }
    let (name, version) = (&one.release.name, &one.release.version);
    let resolved = registry.find(name, version).await.unwrap().unwrap();
    for kind in ["", "_release"] {
        let from = image(&server, "moved", &format!("2.0.0{kind}"));
        let accepted = [OCI_IMAGE_MEDIA_TYPE];
        let (manifest, _) = anybody().pull_manifest_raw(&from, &RegistryAuth::Anonymous, &accepted).await.unwrap();
        let to = image(&server, "moved", &format!("1.0.0{kind}"));
        anybody().push_manifest_raw(&to, manifest, OCI_IMAGE_MEDIA_TYPE.parse().unwrap()).await.unwrap();
    }
    assert_eq!(registry.blob(name, &resolved, MAX_BLOB).await.unwrap(), one.document);
    assert_eq!(registry.blob(name, &one.release.component.digest, MAX_BLOB).await.unwrap(), "one");
    assert_eq!(open_oci(&server).await.find(name, version).await.unwrap(), Some(two.digest()));
    // Nobody publishes over it in good faith.
    let taken = registry.add(&one).await.unwrap_err();
    assert!(matches!(&taken, RegistryError::Taken(text) if text.contains(&two.digest().hex())), "{taken:?}");
}

#[tokio::test]
async fn an_artifact_of_somebody_else_is_not_published_over() {
    let server = ContainerRegistry::open();
    let layer = ImageLayer::new("theirs", "application/wasm".into(), None);
    let config = Config::new("{}", "application/vnd.wasm.config.v0+json".into(), None);
    let at = image(&server, "d", "1.0.0");
    anybody().push(&at, &[layer], config, &RegistryAuth::Anonymous, None).await.unwrap();
    let refused = open_oci(&server).await.add(&package("d", "1.0.0", b"ours".into())).await.unwrap_err();
    assert!(
        matches!(&refused, RegistryError::Taken(text) if text.contains("/some/prefix/d:1.0.0") && text.contains("no release")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_head_whose_author_died_is_written_by_the_next() {
    let server = ContainerRegistry::open();
    let registry = open_oci(&server).await;
    assert_eq!(registry.advance(1, "first".into()).await, Ok(true));
    // As if the author had not come to the second of its two writes.
    let tags = server.folder().join("data/docker/registry/v2/repositories/some/prefix/gristmill/_manifests/tags");
    std::fs::remove_dir_all(tags.join("head-0000000000000001")).unwrap();
    assert_eq!(registry.head(1).await, Ok(None));
    assert_eq!(open_oci(&server).await.advance(1, "second".into()).await, Ok(false));
    assert_eq!(registry.head(1).await.unwrap().unwrap(), "first");
}

#[tokio::test]
async fn what_an_oci_registry_cannot_carry_is_said() {
    let server = ContainerRegistry::open();
    let registry = open_oci(&server).await;
    let refused = registry.add(&package("Stations", "1.0.0", b"x".into())).await.unwrap_err();
    assert!(matches!(&refused, RegistryError::Invalid(text) if text.contains("`Stations`")), "{refused:?}");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = registry::open(&format!("oci://{nobody}/p"), || async { unreachable!() }).await.unwrap();
    let error = away.head(1).await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Unavailable(text) if text.contains(&nobody.to_string())
            && text.contains("onnection refused")),
        "{error:?}"
    );
}

/// What `map` says of a dataset whose component lies in the registry.
fn mapped(laptop: &Laptop, reference: &str, login: &[(&str, &str)]) -> (bool, String) {
    let text = std::fs::read_to_string(laptop.every_station(1)).unwrap();
    let component = format!("{:?}", plugin("noaa-precipitation"));
    let dataset = laptop.write("dataset.toml", &text.replace(&component, &format!("{reference:?}")));
    let mut command = laptop.map_command(&dataset, &[]);
    // No login of whoever runs the tests.
    command.env("DOCKER_CONFIG", laptop.root()).envs(login.iter().copied());
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test]
async fn a_dataset_runs_with_a_component_from_a_registry() {
    let server = ContainerRegistry::open();
    let component = std::fs::read(plugin("noaa-precipitation")).unwrap();
    let digest = Digest::of(&component).to_string();
    open_oci(&server).await.add(&package("noaa", "0.1.0", component)).await.unwrap();
    let at = image(&server, "noaa", "0.1.0");
    let artifact = anybody().fetch_manifest_digest(&at, &RegistryAuth::Anonymous).await.unwrap();
    let laptop = Laptop::with_stations([("AAA", 10)]);
    let repository = format!("oci://{}/some/prefix/noaa", server.host);
    for reference in [format!("{repository}:0.1.0"), format!("{repository}@{artifact}")] {
        let (fine, said) = mapped(&laptop, &reference, &[]);
        assert!(fine && said.contains("noaa-precipitation 0.1.0") && said.contains(&digest[..19]), "{said}");
    }
    for (name, reason) in [(":0.2.0", "there is no"), (":0.1.0_release", "exactly one layer")] {
        let (fine, said) = mapped(&laptop, &format!("{repository}{name}"), &[]);
        assert!(!fine && said.contains(reason) && said.contains(name) && said.contains("plugin.component"), "{said}");
    }
}

#[tokio::test]
async fn who_has_no_login_is_told_how_to_get_one() {
    // `htpasswd -nbB somebody secret`
    let server = ContainerRegistry::for_one("somebody:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n");
    let login = RegistryAuth::Basic("somebody".into(), "secret".into());
    let layer = ImageLayer::new(std::fs::read(plugin("noaa-precipitation")).unwrap(), "application/wasm".into(), None);
    let config = Config::new("{}", "application/vnd.wasm.config.v0+json".into(), None);
    anybody().push(&image(&server, "noaa", "1"), &[layer], config, &login, None).await.unwrap();

    let laptop = Laptop::with_stations([("AAA", 10)]);
    let reference = format!("oci://{}/some/prefix/noaa:1", server.host);
    let (fine, said) = mapped(&laptop, &reference, &[]);
    assert!(!fine && said.contains("GRISTMILL_OCI_USER") && said.contains(&reference), "{said}");
    let (host, user) = (("GRISTMILL_OCI_HOST", &*server.host), ("GRISTMILL_OCI_USER", "somebody"));
    let (fine, said) = mapped(&laptop, &reference, &[host, user, ("GRISTMILL_OCI_PASSWORD", "wrong")]);
    assert!(!fine && said.contains("the password is wrong") && !said.contains("secret"), "{said}");
    let (fine, said) = mapped(&laptop, &reference, &[host, user, ("GRISTMILL_OCI_PASSWORD", "secret")]);
    assert!(fine, "{said}");
    // What `docker login` writes.
    laptop.write("config.json", &format!(r#"{{"auths":{{"{}":{{"auth":"c29tZWJvZHk6c2VjcmV0"}}}}}}"#, server.host));
    let (fine, said) = mapped(&laptop, &reference, &[]);
    assert!(fine, "{said}");
}
