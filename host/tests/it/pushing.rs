//! `gristmill plugin push`: a component into an OCI registry (Debian's). What then runs from there is in `places`.

use std::fs;
use std::path::PathBuf;

use gristmill::job::Digest;
use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use serde_json::{Value, json};

use crate::container_registry::ContainerRegistry;
use crate::guest::Guest;
use crate::laptop::Laptop;
use crate::places::{anybody, image};
use crate::support::plugin;

/// A component of this version.
fn component(laptop: &Laptop, version: &str) -> PathBuf {
    let file = laptop.root().join(format!("{version}.wasm"));
    fs::write(&file, Guest { version, ..Guest::default() }.component()).unwrap();
    file
}

#[tokio::test]
async fn a_component_lies_there_as_other_tools_expect_it() {
    let server = ContainerRegistry::open();
    let file = plugin("noaa-precipitation");
    let pushed = server.push(&file, ":0.1.0", &[], &[]).component();
    let component = fs::read(file).unwrap();
    let accepted = vec!["application/wasm"];
    let pulled = anybody().pull(&image(&server, "0.1.0"), &RegistryAuth::Anonymous, accepted).await.unwrap();
    assert_eq!(pulled.layers.len(), 1);
    assert!(pulled.layers[0].data == component, "the component differs");
    assert_eq!(pulled.config.media_type, "application/vnd.wasm.config.v0+json");
    let config: Value = serde_json::from_slice(&pulled.config.data).unwrap();
    assert_eq!((&config["architecture"], &config["os"]), (&"wasm".into(), &"wasip2".into()));
    assert_eq!(config["layerDigests"], json!([Digest::of(&component)]));
    assert!(config["component"]["imports"].as_array().unwrap().contains(&json!("gristmill:plugin/output@0.1.0")));
    assert!(config["component"]["exports"][0].as_str().unwrap().starts_with("gristmill:plugin/item-processor@"));
    let manifest = pulled.manifest.unwrap();
    assert_eq!((manifest.layers.len(), &*manifest.layers[0].media_type), (1, "application/wasm"));
    assert_eq!(manifest.media_type.as_deref(), Some(OCI_IMAGE_MEDIA_TYPE));
    let annotations = manifest.layers[0].annotations.as_ref().unwrap();
    assert_eq!(annotations["org.opencontainers.image.title"], "noaa-precipitation.wasm");
    assert_eq!(pushed, format!("{}@{}", server.repository(), pulled.digest.unwrap()));
}

#[test]
fn what_is_pushed_again_changes_nothing() {
    let (server, laptop) = (ContainerRegistry::open(), Laptop::new());
    let file = component(&laptop, "1.0.0");
    let without_tag = server.push(&file, "", &[], &[]);
    let is_tag = |path: &PathBuf| path.components().any(|part| part.as_os_str() == "tags");
    let files = server.files();
    assert!(!files.is_empty() && !files.keys().any(is_tag), "{files:?}");
    let with_tag = server.push(&file, ":1", &[], &[]);
    assert!(server.files().keys().any(is_tag));
    let line = format!("component = \"{}\"\n", without_tag.component());
    assert!(line.contains(&format!("{}@sha256:", server.repository())), "{line}");
    let files = server.files();
    for pushed in [without_tag, with_tag, server.push(&file, ":1", &[], &[])] {
        assert_eq!((pushed.code, pushed.out, &*pushed.err), (Some(0), line.clone(), ""));
    }
    assert_eq!(server.files(), files);
}

#[test]
fn a_tag_that_is_moved_is_told() {
    let (server, laptop) = (ContainerRegistry::open(), Laptop::new());
    let (one, two) = (component(&laptop, "1.0.0"), component(&laptop, "2.0.0"));
    let first = server.push(&one, ":latest", &[], &["--json"]);
    let first: Value = serde_json::from_str(&first.out).unwrap();
    let digest = Digest::of(&fs::read(&one).unwrap());
    let component = first["component"].as_str().unwrap();
    assert_eq!(
        first,
        json!({"name": "hostile", "version": "1.0.0", "digest": digest, "component": component, "tag": "latest", "tag_named": null})
    );
    let artifact = component.split_once('@').unwrap().1;
    let moved = server.push(&two, ":latest", &[], &[]);
    assert_eq!(moved.out.lines().nth(1), Some(&*format!("# the tag latest named {artifact} before")), "{moved:?}");
    assert!(!moved.component().ends_with(artifact));
    let back: Value = serde_json::from_str(&server.push(&one, ":latest", &[], &["--json"]).out).unwrap();
    assert_eq!(
        (&back["component"], &back["tag_named"]),
        (&json!(component), &json!(moved.component().split_once('@').unwrap().1))
    );
}

#[test]
fn what_does_not_fit_is_not_sent() {
    let (server, laptop) = (ContainerRegistry::open(), Laptop::new());
    let text = laptop.write("text.wasm", "no component");
    let stranger = laptop.root().join("stranger.wasm");
    fs::write(&stranger, Guest { export: "a:b/c", ..Guest::default() }.component()).unwrap();
    for (file, why) in [
        (text, "this is not a WebAssembly component"),
        (stranger, "it is not a gristmill plugin"),
        (laptop.root().join("nowhere.wasm"), "No such file"),
    ] {
        let refused = server.push(&file, ":1", &[], &[]);
        assert_eq!((refused.code, &*refused.out), (Some(2), ""));
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(refused.err.contains(why) && refused.err.contains(name), "{refused:?}");
    }
    let digest = format!("@sha256:{}", "ab".repeat(32));
    for (tag, why) in [(&*digest, "cannot be chosen"), (":", "its tag is none")] {
        let refused = server.push(&component(&laptop, "1.0.0"), tag, &[], &[]);
        assert!(refused.code == Some(2) && refused.err.contains(why), "{refused:?}");
    }
    assert!(server.files().is_empty(), "{:?}", server.files());
}
