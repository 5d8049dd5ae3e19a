//! The tunnel code of a server, twice: [`before`] as it was written for upstream's sender, with nothing but its imports
//! changed, and [`after`] with both transports and a switch. `diff src/before.rs src/after.rs` is the migration.
//!
//! [`stage`] is what the example and the tests play on: real parts, all on loopback.
//!
//! The guides beside this package say what else changes: `moosicbox-server.md`, `tunnel-server.md`, `app.md`; and how to
//! roll it out: `runbook.md`, `service-by-service.md`, `client-ids.md`.

pub mod after;
pub mod before;
pub mod stage;

/// What the server's database of settings is; upstream's own with the cargo feature `moosicbox-ws`.
#[cfg(feature = "moosicbox-ws")]
pub type ConfigDatabase = switchy_database::config::ConfigDatabase;
/// What the server's database of settings is; upstream's own with the cargo feature `moosicbox-ws`.
#[cfg(not(feature = "moosicbox-ws"))]
pub type ConfigDatabase = ();

/// The trait by which a server sends to WebSocket clients; upstream's own with the cargo feature `moosicbox-ws`.
#[cfg(feature = "moosicbox-ws")]
pub use moosicbox_ws::WebsocketSender;
/// The trait by which a server sends to WebSocket clients; upstream's own with the cargo feature `moosicbox-ws`.
#[cfg(not(feature = "moosicbox-ws"))]
pub use tunnel_p2p::sender::WebsocketSender;

/// The account of a server at its tunnel server, as `moosicbox_auth::get_client_id_and_access_token` returns it.
pub type Account = (String, String);
