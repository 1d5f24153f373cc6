//! TLS to a server: its certificate has to be for the host's name, by an authority that is trusted.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connector that trusts the authorities of this file, or the well-known ones (those of the machine, as the AWS SDK does).
pub(super) fn connector(ca: Option<&Path>) -> Result<MakeRustlsConnect, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            let of_file = |error: String| format!("ca: {}: {error}", file.display());
            for certificate in authorities(file).map_err(of_file)? {
                roots.add(certificate).map_err(|error| of_file(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(of_file("it has no certificate; expected PEM".into()));
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err("this machine has no list of well-known authorities: name one with `ca`".into());
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(MakeRustlsConnect::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let opened = File::open(file).map_err(|error| error.to_string())?;
    CertificateDer::pem_reader_iter(BufReader::new(opened)).collect::<Result<_, _>>().map_err(|error| error.to_string())
}
