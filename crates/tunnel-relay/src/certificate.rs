//! A certificate in files that change.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use iroh_relay::tls::CaTlsConfig;
use rustls::{
    CertificateError, Error,
    client::verify_server_name,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};
use tracing::{info, warn};

use crate::RelayError;

/// How often the files are looked at: soon enough for a certificate that was renewed in its last days.
const LOOK_INTERVAL: Duration = Duration::from_mins(1);

/// The certificate that new connections get.
pub(crate) struct CertificateFiles {
    chain: PathBuf,
    key: PathBuf,
    name: Option<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl CertificateFiles {
    /// Reads the files, whose certificate has to be for `name`.
    pub(crate) async fn load(
        chain: PathBuf,
        key: PathBuf,
        name: Option<ServerName<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, RelayError> {
        let current = read(&chain, &key, name.as_ref(), &provider).await?;
        Ok(Self { chain, key, name, provider, current: RwLock::new(Arc::new(current)) })
    }

    /// Reads the files again and says whether the certificate is another one. If they cannot be used, the old one stays.
    pub(crate) async fn reload(&self) -> Result<bool, RelayError> {
        let new = read(&self.chain, &self.key, self.name.as_ref(), &self.provider).await?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let changed = current.cert != new.cert;
        *current = Arc::new(new);
        Ok(changed)
    }

    /// Reads the files again and again. Never returns.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut trouble = None;
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            match self.reload().await {
                Ok(changed) => {
                    trouble = None;
                    if changed {
                        info!(chain = %self.chain.display(), "the certificate is another one");
                    }
                }
                // A renewal writes one file after the other: said once, not every minute.
                Err(error) => {
                    let message = error.to_string();
                    if trouble.as_ref() != Some(&message) {
                        warn!("the certificate stays the old one: {message}");
                        trouble = Some(message);
                    }
                }
            }
        }
    }

    /// Whether clients trust it only if they are given its root: it comes from no authority that everybody knows.
    pub(crate) fn needs_ca(&self) -> bool {
        let current = self.current();
        let (Some(name), Some((own, between))) = (&self.name, current.cert.split_first()) else { return false };
        let Ok(verifier) = CaTlsConfig::embedded().server_cert_verifier(Arc::clone(&self.provider)) else {
            return false;
        };
        match verifier.verify_server_cert(own, between, name, &[], UnixTime::now()) {
            Ok(_) => false,
            Err(error) => {
                if !matches!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer)) {
                    warn!("clients may refuse the certificate in {}: {error}", self.chain.display());
                }
                true
            }
        }
    }

    fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for CertificateFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateFiles").field("chain", &self.chain).field("key", &self.key).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for CertificateFiles {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

async fn read(
    chain_file: &Path,
    key_file: &Path,
    name: Option<&ServerName<'static>>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, RelayError> {
    let chain_wrong = |message| RelayError::Certificate { path: chain_file.to_owned(), message };
    let key_wrong = |message| RelayError::Certificate { path: key_file.to_owned(), message };
    let unreadable = |error| format!("cannot be read: {error}");
    let chain = tokio::fs::read(chain_file).await.map_err(|error| chain_wrong(unreadable(error)))?;
    let key = tokio::fs::read(key_file).await.map_err(|error| key_wrong(unreadable(error)))?;
    let chain = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| chain_wrong(format!("is not a PEM file: {error}")))?;
    let own = chain.first().ok_or_else(|| chain_wrong("has no certificate (PEM)".to_owned()))?.clone();
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|error| key_wrong(format!("has no private key (PEM, not encrypted): {error}")))?;
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        Error::InconsistentKeys(_) => key_wrong(format!("is not the key of {}", chain_file.display())),
        error => key_wrong(format!("cannot be used: {error}")),
    })?;
    if let Some(name) = name {
        let own = ParsedCertificate::try_from(&own).map_err(|error| chain_wrong(format!("cannot be used: {error}")))?;
        verify_server_name(&own, name).map_err(|error| {
            let host = name.to_str();
            chain_wrong(format!("is not for {host}, which is how clients reach the relay (host): {error}"))
        })?;
    }
    Ok(certified)
}
