//! Requests that pass all the time, whatever happens to the ways.

use std::{net::SocketAddr, time::Duration};

use compat_tests::demo_service::Content;
use http::Method;
use tokio::{runtime::Handle, time::sleep};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::report::Step;
use crate::demo::fetch::send;

/// Between the end of one request and the next.
const PAUSE: Duration = Duration::from_millis(10);
const FILE_BYTES: u64 = 65_537;

/// One request after the other, until it is ended. Dropping it ends it.
pub(super) struct Load {
    stop: CancellationToken,
    running: AbortOnDropHandle<Seen>,
    step: Step,
}

#[derive(Default)]
struct Seen {
    p2p: usize,
    legacy: usize,
    failed: Vec<String>,
    slowest_ms: u128,
}

impl Load {
    pub(super) fn start(gateway: SocketAddr) -> Self {
        let stop = CancellationToken::new();
        let until = stop.clone();
        let running = AbortOnDropHandle::new(Handle::current().spawn(async move {
            let mut seen = Seen::default();
            let expected = Content::new(FILE_BYTES).sha256(0..FILE_BYTES);
            while !until.is_cancelled() {
                let began = tokio::time::Instant::now();
                match get(gateway, &expected).await {
                    Ok(transport) if transport == "p2p" => seen.p2p += 1,
                    Ok(_) => seen.legacy += 1,
                    Err(error) => seen.failed.push(format!("{error:#}")),
                }
                seen.slowest_ms = seen.slowest_ms.max(began.elapsed().as_millis());
                sleep(PAUSE).await;
            }
            seen
        }));
        Self { stop, running, step: Step::begin("requests all the while") }
    }

    /// Ends it, and says what it saw.
    pub(super) async fn end(self) -> Step {
        self.stop.cancel();
        let seen = match self.running.await {
            Ok(seen) => seen,
            Err(error) => return self.step.failed(&error.into()),
        };
        let step = self.step.came("both", "").saying(format!(
            "{} by p2p, {} by legacy, {} failed, slowest {} ms",
            seen.p2p,
            seen.legacy,
            seen.failed.len(),
            seen.slowest_ms
        ));
        step.end(seen.failed.first().map(|first| format!("{} requests failed; the first: {first}", seen.failed.len())))
    }
}

async fn get(gateway: SocketAddr, expected: &str) -> anyhow::Result<String> {
    let answer = send(gateway, Method::GET, &format!("/files/{FILE_BYTES}.bin"), "").await?;
    let (status, transport) = (answer.status, answer.header("x-tunnel-transport").to_owned());
    let reason = answer.header("x-tunnel-reason").to_owned();
    anyhow::ensure!(status == 200, "status {status} ({reason})");
    anyhow::ensure!(answer.read_all().await?.sha256 == expected, "other bytes than the service sent, by {transport}");
    Ok(transport)
}
