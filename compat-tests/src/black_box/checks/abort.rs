//! When the client leaves, the service notices.

use bytes::Bytes;

use super::{Checks, uploads};
use crate::{
    black_box::{Difference, difference::Context, probe::Probe},
    demo_service::Content,
};

pub(super) const CHECKS: Checks = &[
    ("a download that the client leaves", |p| Box::pin(download(p))),
    ("an upload that the client leaves", |p| Box::pin(upload(p))),
    ("a WebSocket that the client leaves", |p| Box::pin(web_socket(p))),
    ("10 files left early, then a whole one", |p| Box::pin(skips(p))),
];

/// What tells this client's requests from those of others.
fn tag() -> String {
    format!("{:016x}", fastrand::u64(..))
}

async fn download(probe: &Probe) -> Result<(), Difference> {
    let tag = tag();
    let mut answer = probe.get(&format!("/endless?tag={tag}")).await?.expecting(200).await?;
    let mut received = 0;
    while received < 256 << 10 {
        received += answer.piece().await?.context("the endless stream ended")?.len();
    }
    probe.active("endless", &tag, 1).await?;
    drop(answer);
    probe.active("endless", &tag, 0).await
}

async fn upload(probe: &Probe) -> Result<(), Difference> {
    let tag = tag();
    let (sender, body) = uploads::channel();
    _ = sender.send(Bytes::from_static(b"the beginning")).await;
    let target = format!("/upload?tag={tag}");
    {
        let mut request = std::pin::pin!(probe.send_with("POST", &target, &[], body));
        tokio::select! {
            biased;
            answer = &mut request => {
                let status = answer?.status;
                return Err(Difference::new(format!("the answer ({status}) came before the upload had ended")));
            }
            arrived = probe.active("uploads", &tag, 1) => arrived?,
        }
    }
    drop(sender);
    probe.active("uploads", &tag, 0).await
}

async fn web_socket(probe: &Probe) -> Result<(), Difference> {
    let tag = tag();
    let socket = probe.echo_socket(&format!("/ws?tag={tag}")).await?;
    probe.active("websockets", &tag, 1).await?;
    drop(socket);
    probe.active("websockets", &tag, 0).await
}

async fn skips(probe: &Probe) -> Result<(), Difference> {
    for _ in 0..10 {
        let mut answer = probe.get("/files/10MiB.bin").await?.expecting(200).await?;
        let mut received = 0;
        while received < 64 << 10 {
            received += answer.piece().await?.context("the file ended")?.len();
        }
    }
    let mut answer = probe.get("/files/10MiB.bin").await?.expecting(200).await?;
    probe.bytes(answer.compare(Content::new(10 << 20), 0..10 << 20).await?);
    Ok(())
}
