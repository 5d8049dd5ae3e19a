//! The lab's own authority, and a certificate of it for the relays.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::process::Product;

/// Where the files are.
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    /// The root that hosts and gateways trust for relays.
    pub(crate) root: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// Makes a root, and a certificate for these names and addresses.
    pub(crate) fn create(product: &Product, names: &[String]) -> Result<Self> {
        let mut root = CertificateParams::new(Vec::new())?;
        root.distinguished_name.push(DnType::CommonName, "NAT lab");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;

        let mut leaf = CertificateParams::new(names)?;
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let leaf = leaf.signed_by(&key, &root)?;

        let write = |name: &str, text: String| {
            let path = PathBuf::from(product.path(name));
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            private(&path)?;
            anyhow::Ok(path)
        };
        Ok(Self {
            root: write("root.pem", root.pem())?,
            certificate: write("relay.pem", leaf.pem())?,
            key: write("relay.key", key.serialize_pem())?,
        })
    }
}

/// The product refuses secrets that others can read.
pub(crate) fn private(path: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .with_context(|| format!("cannot protect {}", path.display()))
}
