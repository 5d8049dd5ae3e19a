//! Accounts: which tokens are good for which client id.

mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{error::Error, fmt};

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

pub use memory::MemoryStorage;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStorage;

/// The longest client id, in characters: what the published server's tables hold.
pub const CLIENT_ID_CHARS_MAX: usize = 64;

/// Where the accounts of a server are kept.
///
/// Times are seconds since 1970. All methods may be called at once from many tasks; dropping a future may leave its
/// change made or not made, never half.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// One more client token, good for ever.
    async fn add_client_token(&self, client_id: &str, token: &TokenHash) -> Result<(), StorageError>;

    /// Whether the client id has this client token.
    async fn has_client_token(&self, client_id: &str, token: &TokenHash, now: u64) -> Result<bool, StorageError>;

    /// One more signature token, good until `expires`; `now` is the time to forget others.
    async fn add_signature_token(
        &self,
        client_id: &str,
        token: &TokenHash,
        expires: u64,
        now: u64,
    ) -> Result<(), StorageError>;

    /// Whether the client id has this signature token, and it has not expired.
    async fn has_signature_token(&self, client_id: &str, token: &TokenHash, now: u64) -> Result<bool, StorageError>;

    /// One more magic token, good for ever.
    async fn add_magic_token(&self, client_id: &str, token: &TokenHash) -> Result<(), StorageError>;

    /// The client id of a magic token.
    async fn magic_token_client(&self, token: &TokenHash, now: u64) -> Result<Option<String>, StorageError>;

    /// The host of the client id is connected as `conn_id`.
    async fn set_connection(&self, client_id: &str, conn_id: u64) -> Result<(), StorageError>;

    /// The host connected as `conn_id` has left.
    async fn remove_connection(&self, conn_id: u64) -> Result<(), StorageError>;

    /// Whether a host of the client id is written down as connected, by this server or an earlier one.
    async fn has_connection(&self, client_id: &str) -> Result<bool, StorageError>;

    /// No host is connected.
    async fn clear_connections(&self) -> Result<(), StorageError>;
}

/// The SHA-256 of a token, in lower-case hex; tokens themselves are not kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(String);

impl TokenHash {
    /// The hash of this token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(HEXLOWER.encode(Sha256::digest(token.as_bytes()).as_slice()))
    }

    /// 64 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why an account could not be read or written.
#[derive(Debug)]
#[non_exhaustive]
pub enum StorageError {
    /// App: the client id is longer than [`CLIENT_ID_CHARS_MAX`].
    ClientIdTooLong,
    /// Local: the storage failed.
    Failed(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIdTooLong => write!(f, "the client id has more than {CLIENT_ID_CHARS_MAX} characters"),
            Self::Failed(_) => f.write_str("the accounts cannot be read or written"),
        }
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::ClientIdTooLong => None,
            Self::Failed(source) => Some(source.as_ref()),
        }
    }
}

fn check_client_id(client_id: &str) -> Result<(), StorageError> {
    if client_id.chars().count() > CLIENT_ID_CHARS_MAX { Err(StorageError::ClientIdTooLong) } else { Ok(()) }
}
