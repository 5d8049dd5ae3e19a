//! Requests in the form of the tunnel, turned into HTTP.
