//! What a WebSocket asks its service to do.

/// What the service does with a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WsVerb {
    /// Sends every message back, and so also the close.
    Echo,
    /// Sends so many messages back, and then ends without a close.
    Cut(u32),
    /// Never answers the request.
    Hang,
}

impl WsVerb {
    /// The target that says this.
    #[must_use]
    pub fn target(self, id: u64) -> String {
        match self {
            Self::Echo => format!("/ws/{id}"),
            Self::Cut(messages) => format!("/ws/{id}/cut/{messages}"),
            Self::Hang => format!("/ws/{id}/hang"),
        }
    }

    /// The only target of a tunnel server for WebSockets, and all that it passes on of a query. It says an echo.
    #[must_use]
    pub fn carried_target(id: u64) -> String {
        format!("{CARRIED}{id}")
    }

    /// Reads a target: whose it is, and what to do.
    #[must_use]
    pub fn parse(target: &str) -> Option<(u64, Self)> {
        if let Some(id) = target.strip_prefix(CARRIED) {
            return Some((id.parse().ok()?, Self::Echo));
        }
        let parts: Vec<&str> = target.strip_prefix("/ws/")?.split('/').collect();
        let (id, verb) = match parts.as_slice() {
            [id] => (id, Self::Echo),
            [id, "cut", messages] => (id, Self::Cut(messages.parse().ok()?)),
            [id, "hang"] => (id, Self::Hang),
            _ => return None,
        };
        Some((id.parse().ok()?, verb))
    }
}

const CARRIED: &str = "/ws?moosicboxProfile=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_socket_survives_its_target() {
        for verb in [WsVerb::Echo, WsVerb::Cut(3), WsVerb::Hang] {
            assert_eq!(WsVerb::parse(&verb.target(7)), Some((7, verb)));
        }
        assert_eq!(WsVerb::parse(&WsVerb::carried_target(7)), Some((7, WsVerb::Echo)));
        assert_eq!(WsVerb::parse("/ws/7/dance"), None);
    }
}
