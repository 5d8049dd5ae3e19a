//! Whether there is anything to check.

use thiserror::Error;
use tokio::{net::TcpStream, time::timeout};

use super::{Difference, Target, answer::Answer, probe::Probe};
use crate::demo_service;

/// Looks for the demo service behind the target. Dropping the future closes its connection.
pub async fn preflight(target: &Target) -> Result<(), PreflightError> {
    let address = target.authority();
    let connection = timeout(target.timeout(), TcpStream::connect(&address)).await;
    connection
        .unwrap_or_else(|elapsed| Err(elapsed.into()))
        .map_err(|source| PreflightError::Unreachable { address: address.clone(), source })?;
    let silent = |problem| PreflightError::Silent { address: address.clone(), problem };
    let probe = Probe::new(target.clone());
    let mut answer = probe.get("/about").await.map_err(silent)?;
    let body = answer.bytes().await.map_err(silent)?;
    recognise(&address, &answer, &body)
}

fn recognise(address: &str, answer: &Answer, body: &[u8]) -> Result<(), PreflightError> {
    let address = address.to_owned();
    let status = answer.status.as_u16();
    let about: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    if status == 200 && about["service"] == demo_service::NAME {
        let found = about["revision"].as_u64().unwrap_or_default();
        if found >= demo_service::REVISION {
            return Ok(());
        }
        return Err(PreflightError::Outdated { address, found, needed: demo_service::REVISION });
    }
    let said = String::from_utf8_lossy(body).lines().next().unwrap_or_default().chars().take(SAID_CHARS_MAX).collect();
    match status {
        400 | 401 | 403 | 407 | 421 | 424 | 502..=504 => Err(PreflightError::Refused { address, status, said }),
        _ => Err(PreflightError::OtherService { address, status }),
    }
}

/// Why there is nothing to check.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PreflightError {
    /// The address accepts no connection.
    #[error("nothing answers at {address}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The address accepts connections, but no answer came.
    #[error("{address} accepts connections but does not answer: {problem}")]
    Silent {
        /// Host and port.
        address: String,
        /// What came instead.
        problem: Difference,
    },
    /// What is at the address refuses to ask the service, or cannot.
    #[error("{address} answers with {status} and says: {said:?}")]
    Refused {
        /// Host and port.
        address: String,
        /// The status.
        status: u16,
        /// The first line of the body.
        said: String,
    },
    /// Something answers that is not the demo service.
    #[error("something answers at {address}, but it is not the demo service (GET /about gives {status})")]
    OtherService {
        /// Host and port.
        address: String,
        /// The status.
        status: u16,
    },
    /// The demo service is older than the list.
    #[error("the demo service behind {address} has revision {found}, the checks need {needed}")]
    Outdated {
        /// Host and port.
        address: String,
        /// What it says.
        found: u64,
        /// What is needed.
        needed: u64,
    },
}

/// The longest quotation of a body.
const SAID_CHARS_MAX: usize = 200;
