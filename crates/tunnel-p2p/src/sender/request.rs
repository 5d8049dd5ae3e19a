//! Answers a request by asking the service.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tunnel_core::{Failure, FailureKind, Handler, Request, RequestHead, moosicbox_tunnel::TunnelHttpRequest};
use tunnel_edge::{LocalService, ServiceConfig, ServiceTarget};

use super::{
    error::TunnelRequestError,
    requests::{Asked, Requests},
};

/// Ports for which connections are kept. A server has one.
const SERVICES_MAX: usize = 16;

/// The services, by port.
#[derive(Default)]
pub(super) struct Services(Mutex<BTreeMap<u16, Arc<LocalService>>>);

impl Services {
    fn at(&self, port: u16) -> Result<Arc<LocalService>, Failure> {
        let mut services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(service) = services.get(&port) {
            return Ok(Arc::clone(service));
        }
        if services.len() >= SERVICES_MAX {
            services.pop_first();
        }
        let target = ServiceTarget::Tcp { host: "127.0.0.1".to_owned(), port };
        let service = LocalService::new(ServiceConfig::new(target))
            .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
        let service = Arc::new(service);
        services.insert(port, Arc::clone(&service));
        Ok(service)
    }

    /// Asks the service on this port and answers with what it says, or why it says nothing.
    pub(super) async fn answer(
        &self,
        port: u16,
        requests: &Arc<Requests>,
        request: TunnelHttpRequest,
    ) -> Result<(), TunnelRequestError> {
        let id = request.request_id;
        let (asked, claim) = requests.claim(id).ok_or_else(|| {
            TunnelRequestError::Request(format!("no request {id} waits: its client has left, or it is answered"))
        })?;
        let request = as_born(request, asked);
        let asking = async { self.at(port)?.http(request).await };
        let response = tokio::select! {
            biased;
            () = claim.unwanted() => return Ok(()),
            response = asking => response,
        };
        match response {
            Ok(response) => {
                claim.answer(Ok(response)).await;
                Ok(())
            }
            Err(failure) => {
                tracing::debug!(request = id, "the service did not answer: {failure}");
                claim.answer(Err(failure.clone())).await;
                Err(failure.into())
            }
        }
    }
}

/// The request as it was born, if the loop asks for what it was told. If the loop has changed something, its word counts.
fn as_born(request: TunnelHttpRequest, asked: Option<Asked>) -> Request {
    match asked {
        Some(Asked { said, born: Some((parts, body)) }) if is_same(&said, &request) => {
            Request { id: request.request_id, head: RequestHead::Http(Box::new(parts)), body }
        }
        _ => Request::tunnel(request),
    }
}

fn is_same(said: &TunnelHttpRequest, asked: &TunnelHttpRequest) -> bool {
    said.method == asked.method
        && said.path == asked.path
        && said.query == asked.query
        && said.payload == asked.payload
        && said.headers == asked.headers
        && said.profile == asked.profile
}
