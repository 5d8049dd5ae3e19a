//! Accounts in a SQLite file.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::task::spawn_blocking;

use super::{Storage, StorageError, TokenHash, check_client_id};

/// How long another process may keep the file to itself.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The tables of the published server; times are seconds since 1970.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS connections (
        client_id TEXT PRIMARY KEY NOT NULL,
        tunnel_ws_id TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS signature_tokens (
        token_hash TEXT PRIMARY KEY NOT NULL,
        client_id TEXT NOT NULL,
        expires INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS client_access_tokens (
        token_hash TEXT PRIMARY KEY NOT NULL,
        client_id TEXT NOT NULL,
        expires INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS magic_tokens (
        magic_token_hash TEXT PRIMARY KEY NOT NULL,
        client_id TEXT NOT NULL,
        expires INTEGER
    ) WITHOUT ROWID;
";

/// Keeps accounts in a SQLite file. Every call runs on a thread for blocking work, one at a time.
#[derive(Debug)]
pub struct SqliteStorage(Arc<Mutex<Connection>>);

impl SqliteStorage {
    /// Opens the file, or makes it, and adds the tables that are missing. Blocks.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::with(Connection::open(path).map_err(failed)?)
    }

    /// Keeps the accounts in a database that lasts as long as the value.
    pub fn in_memory() -> Result<Self, StorageError> {
        Self::with(Connection::open_in_memory().map_err(failed)?)
    }

    fn with(connection: Connection) -> Result<Self, StorageError> {
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        // A write is one sync of the log; reads do not wait for writes of other processes.
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
        connection.execute_batch(SCHEMA).map_err(failed)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        let connection = Arc::clone(&self.0);
        let queried = spawn_blocking(move || query(&connection.lock().unwrap_or_else(PoisonError::into_inner))).await;
        queried.map_err(|error| StorageError::Failed(Box::new(error)))?.map_err(failed)
    }

    async fn exists(&self, sql: &'static str, values: Vec<String>, now: u64) -> Result<bool, StorageError> {
        let now = seconds(now);
        self.run(move |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            match values.as_slice() {
                [one] => statement.exists(params![one]),
                [one, two] => statement.exists(params![one, two, now]),
                _ => Err(rusqlite::Error::InvalidParameterCount(values.len(), 2)),
            }
        })
        .await
    }
}

#[async_trait]
impl Storage for SqliteStorage {
    async fn add_client_token(&self, client_id: &str, token: &TokenHash) -> Result<(), StorageError> {
        check_client_id(client_id)?;
        let (client_id, token) = (client_id.to_owned(), token.as_str().to_owned());
        self.run(move |connection| {
            let sql = "INSERT INTO client_access_tokens (token_hash, client_id) VALUES (?1, ?2)";
            connection.execute(sql, params![token, client_id]).map(|_| ())
        })
        .await
    }

    async fn has_client_token(&self, client_id: &str, token: &TokenHash, now: u64) -> Result<bool, StorageError> {
        let sql = "SELECT 1 FROM client_access_tokens
                   WHERE token_hash = ?1 AND client_id = ?2 AND (expires IS NULL OR expires > ?3)";
        self.exists(sql, vec![token.as_str().to_owned(), client_id.to_owned()], now).await
    }

    async fn add_signature_token(
        &self,
        client_id: &str,
        token: &TokenHash,
        expires: u64,
        now: u64,
    ) -> Result<(), StorageError> {
        check_client_id(client_id)?;
        let (client_id, token) = (client_id.to_owned(), token.as_str().to_owned());
        let (expires, now) = (seconds(expires), seconds(now));
        self.run(move |connection| {
            connection.execute("DELETE FROM signature_tokens WHERE expires <= ?1", params![now])?;
            let sql = "INSERT INTO signature_tokens (token_hash, client_id, expires) VALUES (?1, ?2, ?3)";
            connection.execute(sql, params![token, client_id, expires]).map(|_| ())
        })
        .await
    }

    async fn has_signature_token(&self, client_id: &str, token: &TokenHash, now: u64) -> Result<bool, StorageError> {
        let sql = "SELECT 1 FROM signature_tokens WHERE token_hash = ?1 AND client_id = ?2 AND expires > ?3";
        self.exists(sql, vec![token.as_str().to_owned(), client_id.to_owned()], now).await
    }

    async fn add_magic_token(&self, client_id: &str, token: &TokenHash) -> Result<(), StorageError> {
        check_client_id(client_id)?;
        let (client_id, token) = (client_id.to_owned(), token.as_str().to_owned());
        self.run(move |connection| {
            let sql = "INSERT OR REPLACE INTO magic_tokens (magic_token_hash, client_id) VALUES (?1, ?2)";
            connection.execute(sql, params![token, client_id]).map(|_| ())
        })
        .await
    }

    async fn magic_token_client(&self, token: &TokenHash, now: u64) -> Result<Option<String>, StorageError> {
        let (token, now) = (token.as_str().to_owned(), seconds(now));
        self.run(move |connection| {
            let sql = "SELECT client_id FROM magic_tokens
                       WHERE magic_token_hash = ?1 AND (expires IS NULL OR expires > ?2)";
            connection.prepare_cached(sql)?.query_row(params![token, now], |row| row.get(0)).optional()
        })
        .await
    }

    async fn set_connection(&self, client_id: &str, conn_id: u64) -> Result<(), StorageError> {
        check_client_id(client_id)?;
        let (client_id, conn_id) = (client_id.to_owned(), conn_id.to_string());
        self.run(move |connection| {
            let sql = "INSERT OR REPLACE INTO connections (client_id, tunnel_ws_id) VALUES (?1, ?2)";
            connection.execute(sql, params![client_id, conn_id]).map(|_| ())
        })
        .await
    }

    async fn remove_connection(&self, conn_id: u64) -> Result<(), StorageError> {
        let conn_id = conn_id.to_string();
        self.run(move |connection| {
            connection.execute("DELETE FROM connections WHERE tunnel_ws_id = ?1", params![conn_id]).map(|_| ())
        })
        .await
    }

    async fn has_connection(&self, client_id: &str) -> Result<bool, StorageError> {
        self.exists("SELECT 1 FROM connections WHERE client_id = ?1", vec![client_id.to_owned()], 0).await
    }

    async fn clear_connections(&self) -> Result<(), StorageError> {
        self.run(|connection| connection.execute("DELETE FROM connections", ()).map(|_| ())).await
    }
}

/// SQLite's integers have a sign.
fn seconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

fn failed(error: rusqlite::Error) -> StorageError {
    StorageError::Failed(Box::new(error))
}
