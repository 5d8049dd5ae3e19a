//! The binary `TunnelResponse` packets of the tunnel.
