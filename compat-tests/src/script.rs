//! Ends of the tunnel protocol that do what a case says, right or wrong.

mod head;
mod host;
mod server;

pub use self::{
    head::Head,
    host::{ScriptedHost, packet},
    server::{Answer, ScriptedServer, Socket, Then},
};
