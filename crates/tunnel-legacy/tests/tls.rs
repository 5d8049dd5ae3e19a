//! TLS to the tunnel server, with a certificate that is trusted because `SSL_CERT_FILE` says so.
//!
//! The environment of a process is set when it starts, so the client runs in a process of its own: this test program
//! again, with the one test that is ignored otherwise.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

use std::{io::Write, net::SocketAddr, path::Path, process::Command, sync::Arc};

use data_encoding::BASE64;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};
use tunnel_core::{FailureKind, Transport};
use tunnel_legacy::{LegacyClient, LegacyConfig};

const URL: &str = "TUNNEL_LEGACY_TEST_URL";
const TRUSTED: &str = "TUNNEL_LEGACY_TEST_TRUSTED";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn speaks_tls_with_servers_that_are_trusted_and_with_no_others() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (addr, _serving) = serve(&cert, &signing_key).await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let base64 = BASE64.encode(cert.der());
    writeln!(file, "-----BEGIN CERTIFICATE-----").unwrap();
    for line in base64.as_bytes().chunks(64) {
        writeln!(file, "{}", std::str::from_utf8(line).unwrap()).unwrap();
    }
    writeln!(file, "-----END CERTIFICATE-----").unwrap();
    let other = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (other_addr, _other_serving) = serve(&other.cert, &other.signing_key).await;
    for (addr, trusted) in [(addr, true), (other_addr, false)] {
        child(addr, file.path(), trusted);
    }
}

/// A TLS server that says 200 to everything.
async fn serve(cert: &rcgen::Certificate, key: &KeyPair) -> (SocketAddr, JoinSet<()>) {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok() {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
                stream.shutdown().await.ok();
            }
        }
    });
    (addr, serving)
}

fn child(addr: SocketAddr, roots: &Path, trusted: bool) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_a_process_of_its_own", "--ignored", "--nocapture"])
        .env("SSL_CERT_FILE", roots)
        .env(URL, format!("https://localhost:{}", addr.port()))
        .env(TRUSTED, trusted.to_string())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
#[ignore = "the other test runs it, with an environment"]
async fn in_a_process_of_its_own() {
    let client = LegacyClient::new(LegacyConfig::new(std::env::var(URL).unwrap().parse().unwrap())).unwrap();
    let outcome = client.probe().await;
    if std::env::var(TRUSTED).unwrap() == "true" {
        outcome.unwrap();
    } else {
        let failure = outcome.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Unreachable);
        assert!(failure.message().contains("can be made: invalid peer certificate"), "{failure}");
    }
}
