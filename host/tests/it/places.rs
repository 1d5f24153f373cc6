//! Registries in Amazon S3 (an emulator): the contract suite that the folder keeps in the unit tests.

use std::sync::Arc;

use aws_sdk_s3::Client;
use gristmill::job::Digest;
use gristmill::registry::contract::{self, Tampered};
use gristmill::registry::{self, Name, Registry, RegistryError};

use crate::emulator;

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

async fn open(uri: &str) -> Arc<dyn Registry> {
    registry::open(uri, || std::future::ready(emulator::config(emulator::shared()))).await.unwrap()
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
