//! Who comes in, and what the others are told.

use tunnel_relay::{Access, RelayError};

use crate::support::{Client, echo, online, refusal, relay};

const TOKEN: &str = "a-long-random-word";

fn tokens(tokens: &[&str]) -> Access {
    Access::listed(tokens.iter().map(ToString::to_string), [])
}

#[tokio::test]
async fn peers_with_a_token_meet_at_the_relay() {
    let relay = relay(tokens(&["the-old-one", TOKEN])).await;
    let one = Client::with_token(TOKEN).bind(&relay).await;
    let other = Client::with_token("the-old-one").bind(&relay).await;
    online(&one).await;
    online(&other).await;
    echo(&one, &other).await;
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_the_client_is_told_so() {
    let relay = relay(tokens(&[TOKEN])).await;
    let client = Client::with_token("a-long-random-worm").bind(&relay).await;
    assert_eq!(refusal(&client).await, "the access token is not one of this relay");
}

#[tokio::test]
async fn a_client_without_a_token_is_told_that_it_needs_one() {
    let relay = relay(tokens(&[TOKEN])).await;
    let client = Client::new().bind(&relay).await;
    assert_eq!(refusal(&client).await, "this relay wants its access token, and none was sent");
}

#[tokio::test]
async fn a_listed_peer_comes_in_and_any_other_is_told_its_own_id() {
    let (listed, stranger) = (Client::new(), Client::new());
    let relay = relay(Access::listed([], [listed.key.public().to_string()])).await;
    let id = stranger.key.public();
    online(&listed.bind(&relay).await).await;
    let reason = refusal(&stranger.bind(&relay).await).await;
    assert_eq!(reason, format!("peer {id} is not on the allow list of this relay"));
}

#[tokio::test]
async fn with_tokens_and_a_list_either_is_enough() {
    let listed = Client::new();
    let relay = relay(Access::listed([TOKEN.to_owned()], [listed.key.public().to_string()])).await;
    let (one, other) = (listed.bind(&relay).await, Client::with_token(TOKEN).bind(&relay).await);
    online(&one).await;
    online(&other).await;
    echo(&one, &other).await;
    let reason = refusal(&Client::new().bind(&relay).await).await;
    assert!(reason.contains("none was sent") && reason.contains("not on its allow list"), "{reason}");
}

#[tokio::test]
async fn an_open_relay_and_one_on_loopback_take_everybody() {
    for access in [Access::Open, Access::LoopbackOnly] {
        let relay = relay(access).await;
        online(&Client::new().bind(&relay).await).await;
    }
}

#[tokio::test]
async fn a_token_that_is_no_longer_one_ends_the_connections_that_came_in_with_it() {
    let relay = relay(tokens(&["the-old-one", TOKEN])).await;
    let (leaving, staying) = (Client::with_token("the-old-one"), Client::with_token(TOKEN));
    let (leaving, staying) = (leaving.bind(&relay).await, staying.bind(&relay).await);
    online(&leaving).await;
    online(&staying).await;
    assert_eq!(relay.set_access(tokens(&[TOKEN])).unwrap(), 1);
    assert_eq!(refusal(&leaving).await, "the access token is not one of this relay");
    let other = Client::with_token(TOKEN).bind(&relay).await;
    online(&other).await;
    echo(&staying, &other).await;
}

#[tokio::test]
async fn access_that_is_wrong_leaves_the_old_one() {
    let relay = relay(tokens(&[TOKEN])).await;
    assert!(matches!(relay.set_access(tokens(&[""])), Err(RelayError::Config { field: "access-token", .. })));
    online(&Client::with_token(TOKEN).bind(&relay).await).await;
}

#[test]
fn tokens_are_not_in_the_debug_output() {
    let shown = format!("{:?}", tokens(&[TOKEN]));
    assert!(!shown.contains(TOKEN), "{shown}");
}
