//! Where things come from that somebody published: a registry in Amazon S3 (an emulator), which keeps the contract that the folder
//! keeps in the unit tests, and components in an OCI registry (Debian's).

use std::sync::Arc;

use aws_sdk_s3::Client;
use gristmill::job::Digest;
use gristmill::registry::contract::{self, Tampered};
use gristmill::registry::{self, Name, Registry, RegistryError};
use oci_client::Reference;
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::secrets::RegistryAuth;

use crate::container_registry::{ContainerRegistry, REPOSITORY};
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

/// The client as anybody uses it.
pub(crate) fn anybody() -> oci_client::Client {
    oci_client::Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() })
}

pub(crate) fn image(server: &ContainerRegistry, tag: &str) -> Reference {
    Reference::with_tag(server.host.clone(), REPOSITORY.into(), tag.into())
}

/// Puts an artifact with these layers there, as any tool may.
async fn push(server: &ContainerRegistry, tag: &str, layers: &[&[u8]]) {
    let layer = |bytes: &&[u8]| ImageLayer::new(bytes.to_vec(), "application/wasm".into(), None);
    let layers: Vec<ImageLayer> = layers.iter().map(layer).collect();
    let config = Config::new("{}", "application/vnd.wasm.config.v0+json".into(), None);
    anybody().push(&image(server, tag), &layers, config, &RegistryAuth::Anonymous, None).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = registry::fetch_component(&format!("oci://{nobody}/p:1").parse().unwrap()).await.unwrap_err();
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
    let pushed = server.push(&plugin("noaa-precipitation"), ":0.1.0", &[], &[]).component();
    push(&server, "layers", &[b"one", b"two"]).await;
    push(&server, "theirs", &[&component]).await;
    let at = image(&server, "0.1.0");
    let artifact = anybody().fetch_manifest_digest(&at, &RegistryAuth::Anonymous).await.unwrap();
    let laptop = Laptop::with_stations([("AAA", 10)]);
    let repository = server.repository();
    assert_eq!(pushed, format!("{repository}@{artifact}"));
    for reference in [format!("{repository}:0.1.0"), pushed.clone(), format!("{repository}:theirs")] {
        let (fine, said) = mapped(&laptop, &reference, &[]);
        assert!(fine && said.contains("noaa-precipitation 0.1.0") && said.contains(&digest[..19]), "{said}");
    }
    for (name, reason) in [(":0.2.0", "there is no"), (":layers", "exactly one layer")] {
        let (fine, said) = mapped(&laptop, &format!("{repository}{name}"), &[]);
        assert!(!fine && said.contains(reason) && said.contains(name) && said.contains("plugin.component"), "{said}");
    }
    // A tag that is moved changes nothing for those who name the artifact.
    push(&server, "0.1.0", &[b"something else"]).await;
    let (fine, said) = mapped(&laptop, &format!("{repository}:0.1.0"), &[]);
    assert!(!fine, "{said}");
    let (fine, said) = mapped(&laptop, &pushed, &[]);
    assert!(fine && said.contains(&digest[..19]), "{said}");
}

#[tokio::test]
async fn who_has_no_login_is_told_how_to_get_one() {
    // `htpasswd -nbB somebody secret`
    let server = ContainerRegistry::for_one("somebody:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n");
    let (host, user) = (("GRISTMILL_OCI_HOST", &*server.host), ("GRISTMILL_OCI_USER", "somebody"));
    let push = |login: &[(&str, &str)]| server.push(&plugin("noaa-precipitation"), ":1", login, &[]);
    let refused = push(&[]);
    assert_eq!((refused.code, &*refused.out), (Some(2), ""));
    let expected = [&server.repository(), " could not be written", "GRISTMILL_OCI_USER", "`docker login"];
    assert!(expected.iter().all(|part| refused.err.contains(part)), "{refused:?}");
    let refused = push(&[host, user, ("GRISTMILL_OCI_PASSWORD", "wrong")]);
    assert!(refused.err.contains("the password is wrong") && !refused.err.contains("secret"), "{refused:?}");
    assert!(server.files().is_empty());
    push(&[host, user, ("GRISTMILL_OCI_PASSWORD", "secret")]).component();

    let laptop = Laptop::with_stations([("AAA", 10)]);
    let reference = server.repository() + ":1";
    let (fine, said) = mapped(&laptop, &reference, &[]);
    assert!(!fine && said.contains("GRISTMILL_OCI_USER") && said.contains(&reference), "{said}");
    let (fine, said) = mapped(&laptop, &reference, &[host, user, ("GRISTMILL_OCI_PASSWORD", "wrong")]);
    assert!(!fine && said.contains("the password is wrong") && !said.contains("secret"), "{said}");
    let (fine, said) = mapped(&laptop, &reference, &[host, user, ("GRISTMILL_OCI_PASSWORD", "secret")]);
    assert!(fine, "{said}");
    // What `docker login` writes.
    laptop.write("config.json", &format!(r#"{{"auths":{{"{}":{{"auth":"c29tZWJvZHk6c2VjcmV0"}}}}}}"#, server.host));
    let (fine, said) = mapped(&laptop, &reference, &[]);
    assert!(fine, "{said}");
}
