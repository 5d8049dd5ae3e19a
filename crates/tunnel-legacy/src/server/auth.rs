//! Who may ask.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, StatusCode, header};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::{
    Defect, Shared,
    query::Params,
    reply::{self, Refusal},
    storage::{StorageError, TokenHash},
};

pub(super) const CLIENT_ID: &str = "clientId";
const SIGNATURE: &str = "signature";

/// A token that was good is not looked up again for so long.
const VERIFIED_FOR: Duration = Duration::from_secs(10);
/// So many good tokens are remembered.
const VERIFIED_MAX: usize = 4096;

/// The tenant of a request.
pub(super) struct Tenant {
    /// Whose credential is checked.
    pub(super) checked: String,
    /// Whose host is asked. The same, but for one defect of the published server.
    asked: Option<String>,
}

impl Tenant {
    /// The tenant that the query names. Without one the answer is 400, or 401 in the manner of the published server, which
    /// looks for credentials first.
    pub(super) fn of(params: &Params, shared: &Shared) -> Result<Self, Refusal> {
        let checked = params.first_any_case(CLIENT_ID).map(str::to_owned);
        if shared.config.behaviour.has(Defect::ClientIdTwice) {
            let asked = params.last(CLIENT_ID).map(str::to_owned);
            return Ok(Self { checked: checked.ok_or_else(unauthorized)?, asked });
        }
        let checked = checked.ok_or_else(missing)?;
        if params.count_any_case(CLIENT_ID) > 1 {
            return Err(reply::refusal(StatusCode::BAD_REQUEST, "More than one clientId query param"));
        }
        Ok(Self { asked: Some(checked.clone()), checked })
    }

    /// Whose host is asked.
    pub(super) fn asked(self) -> Result<String, Refusal> {
        self.asked.ok_or_else(missing)
    }
}

/// The bearer must have the token of the server itself.
pub(super) fn check_access_token(shared: &Shared, headers: &HeaderMap) -> Result<(), Refusal> {
    let given = TokenHash::of(bearer(headers).ok_or_else(unauthorized)?);
    let wanted = TokenHash::of(&shared.config.tunnel_access_token);
    if given.as_str().as_bytes().ct_eq(wanted.as_str().as_bytes()).into() { Ok(()) } else { Err(unauthorized()) }
}

/// The bearer must have a client token of the tenant.
pub(super) async fn check_client_token(shared: &Shared, tenant: &Tenant, headers: &HeaderMap) -> Result<(), Refusal> {
    check(shared, Kind::Client, tenant, bearer(headers)).await
}

/// The query must have a signature of the tenant.
pub(super) async fn check_signature(shared: &Shared, tenant: &Tenant, params: &Params) -> Result<(), Refusal> {
    check(shared, Kind::Signature, tenant, params.first_any_case(SIGNATURE)).await
}

async fn check(shared: &Shared, kind: Kind, tenant: &Tenant, token: Option<&str>) -> Result<(), Refusal> {
    let token = TokenHash::of(token.ok_or_else(unauthorized)?);
    let now = shared.config.clock.now();
    let key = (kind, tenant.checked.clone(), token);
    if shared.verified.has(&key) {
        return Ok(());
    }
    let (_, client_id, token) = &key;
    let good = match kind {
        Kind::Client => shared.storage.has_client_token(client_id, token, now).await,
        Kind::Signature => shared.storage.has_signature_token(client_id, token, now).await,
    };
    match good {
        Ok(true) => {
            shared.verified.add(key);
            Ok(())
        }
        Ok(false) => Err(unauthorized()),
        // As the published server: nobody is let in, and nobody is told why.
        Err(error) => {
            log(&error);
            Err(unauthorized())
        }
    }
}

/// Tokens that were good a moment ago, so that not every request asks the storage.
#[derive(Default)]
pub(super) struct Verified(Mutex<BTreeMap<Key, Instant>>);

type Key = (Kind, String, TokenHash);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Client,
    Signature,
}

impl Verified {
    fn has(&self, key: &Key) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).is_some_and(|since| since.elapsed() < VERIFIED_FOR)
    }

    fn add(&self, key: Key) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= VERIFIED_MAX {
            known.retain(|_, since| since.elapsed() < VERIFIED_FOR);
            if known.len() >= VERIFIED_MAX {
                known.clear();
            }
        }
        known.insert(key, Instant::now());
    }
}

pub(super) fn unauthorized() -> Refusal {
    reply::refusal(StatusCode::UNAUTHORIZED, "Unauthorized")
}

pub(super) fn storage_failed(error: &StorageError) -> Refusal {
    log(error);
    reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, "The accounts cannot be read or written")
}

fn log(error: &StorageError) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(%error, cause, "a token could not be looked up");
}

fn missing() -> Refusal {
    reply::refusal(StatusCode::BAD_REQUEST, "Missing clientId query param")
}

/// What follows `Bearer `, in any spelling of upper and lower case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}
