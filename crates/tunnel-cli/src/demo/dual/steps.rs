//! The steps.

use std::time::Duration;

use compat_tests::demo_service::Content;
use http::Method;
use tokio::time::{Instant, sleep, timeout};
use tunnel_router::Question;

use super::{
    report::{Report, Step},
    stack::{CLIENT_ID, DualStack, router_config},
};
use crate::demo::{
    fetch::{Answer, send},
    stack::Stack,
};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const MIB: u64 = 1 << 20;
const DOWNLOAD_BYTES: u64 = 256 * MIB;
/// How much of the download has arrived when the way is cut.
const CUT_AT_BYTES: u64 = 64 * MIB;
/// How many client ids are asked about.
const CLIENT_IDS: usize = 10_000;
const COMPARED: usize = 20;

/// Waits until requests go peer to peer.
pub(super) async fn connect(dual: &DualStack, report: &mut Report) {
    let step = Step::begin("GET, both ways up");
    report.add(expect(dual, step, "p2p", "p2p-healthy").await);
}

/// A download that is under way when the peer-to-peer way is cut.
pub(super) async fn cut_during_a_download(stack: &mut Stack, dual: &DualStack, report: &mut Report) {
    let step = Step::begin("256 MiB, p2p cut after 64 MiB");
    report.add(match timeout(PATIENCE, download(stack, dual)).await {
        Ok(Ok((transport, reason, detail))) => step.came(&transport, &reason).saying(detail).end(None),
        Ok(Err(error)) => step.failed(&error),
        Err(_) => step.end(Some(format!("it took longer than {PATIENCE:?}"))),
    });
}

async fn download(stack: &mut Stack, dual: &DualStack) -> anyhow::Result<(String, String, String)> {
    let expected = Content::new(DOWNLOAD_BYTES).sha256(0..DOWNLOAD_BYTES);
    let before = dual.router.status().counts.failovers_succeeded.p2p;
    let mut answer = send(dual.gateway, Method::GET, "/files/256MiB.bin", "").await?;
    let transport = answer.header("x-tunnel-transport").to_owned();
    let reason = answer.header("x-tunnel-reason").to_owned();
    anyhow::ensure!(answer.status == 200 && transport == "p2p", "it began as {} by {transport}", answer.status);
    answer.read_to(CUT_AT_BYTES).await?;
    stack.cut_host().await;
    let whole = answer.read_all().await?;
    anyhow::ensure!(whole.bytes == DOWNLOAD_BYTES, "{} bytes came", whole.bytes);
    anyhow::ensure!(whole.sha256 == expected, "other bytes than the service sent");
    let continued = dual.router.status().counts.failovers_succeeded.p2p - before;
    anyhow::ensure!(continued > 0, "it never left the peer-to-peer way");
    let detail = format!("one unbroken response, SHA-256 right, longest pause {} ms", whole.longest_pause_ms);
    Ok((format!("{transport}, then legacy"), reason, detail))
}

/// What requests do while there is no peer-to-peer way.
pub(super) async fn while_cut(dual: &DualStack, report: &mut Report) {
    let step = Step::begin("GET without p2p");
    report.add(expect(dual, step, "legacy", "p2p-down").await);
    let step = Step::begin("POST of JSON without p2p");
    report.add(match send(dual.gateway, Method::POST, "/api/echo?a=1", "{\"n\":1}").await {
        Ok(answer) => judge(step, &answer, "legacy", "p2p-down"),
        Err(error) => step.failed(&error),
    });
    let step = Step::begin("POST of what the tunnel would spoil");
    report.add(match send(dual.gateway, Method::POST, "/upload", "not JSON").await {
        Ok(answer) => {
            let outcome = answer.header("x-tunnel-outcome").to_owned();
            let problem = (answer.status != 502 || outcome != "not-executed")
                .then(|| format!("status {}, outcome {outcome:?}", answer.status));
            step.came("none", answer.header("x-tunnel-reason"))
                .saying("refused, not altered, not carried out")
                .end(problem)
        }
        Err(error) => step.failed(&error),
    });
}

/// The host comes back with the same key on the same port.
pub(super) async fn back_again(stack: &mut Stack, dual: &DualStack, report: &mut Report) {
    let step = Step::begin("p2p comes back");
    if let Err(error) = stack.restore_host().await {
        report.add(step.end(Some(error.to_string())));
        return;
    }
    report.add(expect(dual, step, "p2p", "p2p-healthy").await);
}

/// A rollout of 0, 50 and 100 percent.
pub(super) async fn rollout(dual: &DualStack, report: &mut Report) {
    for percent in [0.0, 50.0, 100.0] {
        let step = Step::begin(format!("rollout {percent} %"));
        let mut config = router_config();
        config.rollout_percent = percent;
        if let Err(error) = dual.router.reload(config) {
            report.add(step.failed(&error.into()));
            continue;
        }
        let inside = (0..CLIENT_IDS).filter(|number| is_in(dual, &format!("home-{number}"))).count();
        let (transport, reason) = if is_in(dual, CLIENT_ID) { ("p2p", "p2p-healthy") } else { ("legacy", "rollout") };
        let step = step.saying(format!("{inside} of {CLIENT_IDS} client ids by p2p"));
        let step = match send(dual.gateway, Method::GET, "/files/1KiB.bin", "").await {
            Ok(answer) => judge(step, &answer, transport, reason),
            Err(error) => step.failed(&error),
        };
        // Three standard deviations of a fair choice are 150.
        let allowed = match percent {
            0.0 => 0..=0,
            100.0 => CLIENT_IDS..=CLIENT_IDS,
            _ => CLIENT_IDS / 2 - 150..=CLIENT_IDS / 2 + 150,
        };
        report.add(if allowed.contains(&inside) { step } else { step.end(Some(format!("{inside} client ids"))) });
    }
}

fn is_in(dual: &DualStack, client_id: &str) -> bool {
    let question = Question {
        client_id: Some(client_id.to_owned()),
        method: Method::GET,
        target: http::Uri::from_static("/files/1KiB.bin"),
    };
    dual.router.explain(&question).transport == Some("p2p")
}

/// The kill switch holds for the very next request.
pub(super) async fn kill_switch(dual: &DualStack, report: &mut Report) {
    for (on, transport, reason) in [(true, "legacy", "kill-switch"), (false, "p2p", "p2p-healthy")] {
        let step = Step::begin(if on { "kill switch on" } else { "kill switch off" });
        dual.router.kill_switch(on);
        report.add(match send(dual.gateway, Method::GET, "/files/1KiB.bin", "").await {
            Ok(answer) => judge(step, &answer, transport, reason),
            Err(error) => step.failed(&error),
        });
    }
}

/// Every request is repeated over the other way, and the two answers are compared.
pub(super) async fn compare(dual: &DualStack, report: &mut Report) {
    let step = Step::begin("both ways compared");
    let mut config = router_config();
    config.shadow_percent = 100.0;
    if let Err(error) = dual.router.reload(config) {
        report.add(step.failed(&error.into()));
        return;
    }
    let before = dual.router.status().counts.shadow;
    for number in 0..COMPARED {
        if let Err(error) = send(dual.gateway, Method::GET, &format!("/files/{}.bin", 1000 + number), "").await {
            report.add(step.failed(&error));
            return;
        }
    }
    let began = Instant::now();
    let seen = loop {
        let now = dual.router.status().counts.shadow;
        let seen = [now.matched - before.matched, now.mismatched - before.mismatched, now.failed - before.failed];
        if seen.iter().sum::<u64>() >= COMPARED as u64 || began.elapsed() > PATIENCE {
            break seen;
        }
        sleep(POLL_INTERVAL).await;
    };
    let [matched, mismatched, failed] = seen;
    let problem = (matched < COMPARED as u64 || mismatched > 0 || failed > 0)
        .then(|| format!("{matched} of {COMPARED} the same, {mismatched} not, {failed} without an answer"));
    let detail = format!("{matched} responses the same byte for byte, {mismatched} not");
    report.add(step.came("both", "").saying(detail).end(problem));
    _ = dual.router.reload(router_config());
}

/// Asks again and again until a request comes this way; fails if one gets no good answer.
async fn expect(dual: &DualStack, step: Step, transport: &str, reason: &str) -> Step {
    let began = Instant::now();
    loop {
        let answer = match send(dual.gateway, Method::GET, "/files/1KiB.bin", "").await {
            Ok(answer) => answer,
            Err(error) => return step.failed(&error),
        };
        let came = answer.header("x-tunnel-transport") == transport && answer.header("x-tunnel-reason") == reason;
        if came || answer.status != 200 || began.elapsed() > PATIENCE {
            return judge(step, &answer, transport, reason);
        }
        drop(answer);
        sleep(POLL_INTERVAL).await;
    }
}

fn judge(step: Step, answer: &Answer, transport: &str, reason: &str) -> Step {
    let (came_by, because) = (answer.header("x-tunnel-transport"), answer.header("x-tunnel-reason"));
    let right = answer.status == 200 && came_by == transport && because == reason;
    let problem = format!("status {} by {came_by:?} ({because}), not 200 by {transport} ({reason})", answer.status);
    step.came(came_by, because).end((!right).then_some(problem))
}
