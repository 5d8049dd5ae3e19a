//! Accounts that last as long as the process.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{Storage, StorageError, TokenHash, check_client_id};

/// Keeps accounts in memory, for tests and simulations. Expired signature tokens are forgotten.
#[derive(Debug, Default)]
pub struct MemoryStorage(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    client_tokens: BTreeMap<TokenHash, String>,
    /// With the time at which they expire.
    signature_tokens: BTreeMap<TokenHash, (String, u64)>,
    magic_tokens: BTreeMap<TokenHash, String>,
    connections: BTreeMap<String, u64>,
}

impl MemoryStorage {
    /// Without an account.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn add_client_token(&self, client_id: &str, token: &TokenHash) -> Result<(), StorageError> {
        check_client_id(client_id)?;
        self.lock().client_tokens.insert(token.clone(), client_id.to_owned());
        Ok(())
    }

    async fn has_client_token(&self, client_id: &str, token: &TokenHash, _now: u64) -> Result<bool, StorageError> {
        Ok(self.lock().client_tokens.get(token).is_some_and(|owner| owner == client_id))
    }

    async fn add_signature_token(
        &self,
        client_id: &str,
        token: &TokenHash,
        expires: u64,
        now: u64,
    ) -> Result<(), StorageError> {
        check_client_id(client_id)?;
        let mut tables = self.lock();
        tables.signature_tokens.retain(|_, (_, expires)| *expires > now);
        tables.signature_tokens.insert(token.clone(), (client_id.to_owned(), expires));
        Ok(())
    }

    async fn has_signature_token(&self, client_id: &str, token: &TokenHash, now: u64) -> Result<bool, StorageError> {
        let tables = self.lock();
        let found = tables.signature_tokens.get(token);
        Ok(found.is_some_and(|(owner, expires)| owner == client_id && *expires > now))
    }

    async fn add_magic_token(&self, client_id: &str, token: &TokenHash) -> Result<(), StorageError> {
        check_client_id(client_id)?;
        self.lock().magic_tokens.insert(token.clone(), client_id.to_owned());
        Ok(())
    }

    async fn magic_token_client(&self, token: &TokenHash, _now: u64) -> Result<Option<String>, StorageError> {
        Ok(self.lock().magic_tokens.get(token).cloned())
    }

    async fn set_connection(&self, client_id: &str, conn_id: u64) -> Result<(), StorageError> {
        check_client_id(client_id)?;
        self.lock().connections.insert(client_id.to_owned(), conn_id);
        Ok(())
    }

    async fn remove_connection(&self, conn_id: u64) -> Result<(), StorageError> {
        self.lock().connections.retain(|_, connected| *connected != conn_id);
        Ok(())
    }

    async fn has_connection(&self, client_id: &str) -> Result<bool, StorageError> {
        Ok(self.lock().connections.contains_key(client_id))
    }

    async fn clear_connections(&self) -> Result<(), StorageError> {
        self.lock().connections.clear();
        Ok(())
    }
}
