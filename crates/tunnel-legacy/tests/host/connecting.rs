//! Getting and staying connected.

use std::time::Duration;

use futures::SinkExt;
use tokio::time::{Instant, sleep};
use tunnel_core::{FailureKind, WsClose, WsMessage};
use tunnel_legacy::{LegacyHost, LegacyHostConfig, LegacyHostState};

use crate::support::{Server, connected, echo};

fn lines(server: &Server) -> Vec<String> {
    server.rules.lock().unwrap().seen.iter().map(|(_, line)| line.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn connects_as_the_published_sender_does() {
    let (mut server, host) = Server::with_host(false, echo(), |_| {});
    assert_eq!(host.state(), LegacyHostState::Connecting);
    let end = server.host().await;
    assert_eq!(
        lines(&server),
        [
            "POST /t/auth/signature-token?clientId=home%201 HTTP/1.1",
            "GET /t/ws?clientId=home%201&sender=true&signature=token-1 HTTP/1.1"
        ]
    );
    assert!(end.request.contains("x-tunnel-extensions: flow\r\n"));
    connected(&host).await;
    assert!(matches!(host.state(), LegacyHostState::Connected { extended: false, .. }));
}

#[tokio::test(start_paused = true)]
async fn knows_whether_the_server_knows_the_additions_and_whether_they_were_offered() {
    for (offered, extended) in [(true, true), (false, false)] {
        let (mut server, host) = Server::with_host(true, echo(), |config| config.extensions = offered);
        let end = server.host().await;
        assert_eq!(end.request.contains("x-tunnel-extensions"), offered);
        connected(&host).await;
        let LegacyHostState::Connected { extended: known, .. } = host.state() else { panic!("{:?}", host.state()) };
        assert_eq!(known, extended);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_made_again_at_once_with_the_same_token() {
    let (mut server, host) = Server::with_host(false, echo(), |_| {});
    let mut end = server.host().await;
    connected(&host).await;
    assert_eq!(end.hear_within(Duration::from_mins(1)).await, None);
    let lost = Instant::now();
    drop(end);
    let mut end = server.host().await;
    assert_eq!(lost.elapsed(), Duration::ZERO);
    assert_eq!(lines(&server).last().unwrap(), "GET /t/ws?clientId=home%201&sender=true&signature=token-1 HTTP/1.1");
    end.ask(1, "a").await;
    assert_eq!(end.response(1).await.1, b"a");
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced() {
    let (mut server, _host) = Server::with_host(false, echo(), |_| {});
    let mut end = server.host().await;
    assert_eq!(end.hear_within(Duration::from_mins(1)).await, None);
    server.rules.lock().unwrap().tokens.clear();
    drop(end);
    server.host().await;
    assert!(lines(&server).last().unwrap().ends_with("signature=token-2 HTTP/1.1"));
}

#[tokio::test(start_paused = true)]
async fn a_token_near_its_end_is_not_used_again() {
    let (mut server, _host) = Server::with_host(false, echo(), |config| {
        assert_eq!(config.signature_age_max, Duration::from_hours(13 * 24), "of 14 days");
        config.signature_age_max = Duration::from_mins(30);
    });
    for token in ["token-1", "token-1", "token-2"] {
        let mut end = server.host().await;
        assert!(lines(&server).last().unwrap().ends_with(&format!("signature={token} HTTP/1.1")));
        assert_eq!(end.hear_within(Duration::from_mins(16)).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_given_token_is_used_first() {
    let (mut server, _host) =
        Server::with_host(false, echo(), |config| config.signature_token = Some("given".to_owned()));
    server.rules.lock().unwrap().tokens.push("given".to_owned());
    server.host().await;
    assert_eq!(lines(&server), ["GET /t/ws?clientId=home%201&sender=true&signature=given HTTP/1.1"]);
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_from_a_quarter_of_a_second_to_half_a_minute() {
    let (mut server, host) = Server::with_host(false, echo(), |_| {});
    server.rules.lock().unwrap().down = true;
    sleep(Duration::from_mins(10)).await;
    let times: Vec<Instant> = server.rules.lock().unwrap().seen.iter().map(|(at, _)| *at).collect();
    let pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mut expected = Duration::from_millis(250);
    for pause in &pauses {
        let range = expected.mul_f64(0.5)..=expected.mul_f64(1.5) + Duration::from_millis(1);
        assert!(range.contains(pause), "{pause:?} is not about {expected:?} in {pauses:?}");
        expected = (expected * 2).min(Duration::from_secs(30));
    }
    assert!(pauses.len() > 15);
    let LegacyHostState::Reconnecting(failure) = host.state() else { panic!("{:?}", host.state()) };
    assert_eq!(failure.kind(), FailureKind::Unreachable);
    server.rules.lock().unwrap().down = false;
    server.host().await;
    connected(&host).await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_do_not_last_are_not_made_again_at_once() {
    let (mut server, _host) = Server::with_host(false, echo(), |_| {});
    let start = Instant::now();
    for _ in 0..8 {
        drop(server.host().await);
    }
    assert!(start.elapsed() > Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn says_what_to_do_when_the_access_token_is_refused() {
    let (server, host) = Server::with_host(false, echo(), |config| config.access_token = "wrong".to_owned());
    let LegacyHostState::Reconnecting(failure) = host.changed_from(&LegacyHostState::Connecting).await else {
        panic!("{:?}", host.state())
    };
    assert_eq!(failure.kind(), FailureKind::Unauthorized);
    assert!(failure.message().contains("register again"), "{failure}");
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn a_token_refused_as_soon_as_it_is_made_is_a_failure_not_a_loop() {
    let (server, host) = Server::with_host(false, echo(), |_| {});
    server.rules.lock().unwrap().forgetful = true;
    let LegacyHostState::Reconnecting(failure) = host.changed_from(&LegacyHostState::Connecting).await else {
        panic!("{:?}", host.state())
    };
    assert!(failure.message().contains("just made"), "{failure}");
    assert_eq!(server.rules.lock().unwrap().seen.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up_after_fifteen_seconds() {
    let (mut server, host) = Server::with_host(false, echo(), |_| {});
    // It neither reads nor writes.
    let _end = server.host().await;
    connected(&host).await;
    let start = Instant::now();
    server.host().await;
    assert_eq!(start.elapsed(), Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_pings_is_kept() {
    let (mut server, host) = Server::with_host(false, echo(), |_| {});
    let mut end = server.host().await;
    connected(&host).await;
    assert_eq!(end.hear_within(Duration::from_mins(10)).await, None);
    end.ask(1, "a").await;
    assert_eq!(end.response(1).await.1, b"a");
}

#[tokio::test(start_paused = true)]
async fn two_hosts_of_one_name_do_not_fight() {
    let (mut server, host) = Server::with_host(false, echo(), |_| {});
    let mut end = server.host().await;
    assert_eq!(end.hear_within(Duration::from_mins(1)).await, None);
    let close = WsClose { code: 4001, reason: "superseded".to_owned() };
    end.socket.send(WsMessage::Close(Some(close))).await.unwrap();
    let start = Instant::now();
    server.host().await;
    assert!(start.elapsed() >= Duration::from_secs(150), "{:?}", start.elapsed());
    drop(host);
}

#[tokio::test(start_paused = true)]
async fn a_close_of_the_server_is_told() {
    let (mut server, host) = Server::with_host(false, echo(), |_| {});
    let mut end = server.host().await;
    connected(&host).await;
    let before = host.state();
    let close = WsClose { code: 1012, reason: "restart".to_owned() };
    end.socket.send(WsMessage::Close(Some(close))).await.unwrap();
    let LegacyHostState::Reconnecting(failure) = host.changed_from(&before).await else { panic!("{:?}", host.state()) };
    assert!(failure.message().contains("1012") && failure.message().contains("restart"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn settings_that_make_no_sense_are_refused() {
    let refused = |change: fn(&mut LegacyHostConfig)| {
        let mut config = LegacyHostConfig::new("http://a".parse().unwrap(), "c", "t");
        change(&mut config);
        let connect = || std::future::ready(Err::<tokio::io::DuplexStream, _>(std::io::ErrorKind::Other.into()));
        LegacyHost::with_connector(config, std::sync::Arc::new(echo()), connect).err().unwrap().to_string()
    };
    assert!(refused(|config| config.client_id = String::new()).contains("client_id"));
    assert!(refused(|config| config.access_token = "Bearer t".to_owned()).contains("without `Bearer`"));
    assert!(refused(|config| config.max_requests = 0).contains("max_requests"));
    assert!(refused(|config| config.retry_max = Duration::ZERO).contains("retry_max"));
    assert!(refused(|config| config.message_bytes_max = 1).contains("message_bytes_max"));
}
