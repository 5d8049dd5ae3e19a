//! What every backend of `p2p_provider` does.

/// As [`for_each_case!`](crate::for_each_case), for the cases about peers.
#[macro_export]
macro_rules! for_each_peer_case {
    ($callback:ident! { $($prefix:tt)* }) => {
        $callback! { $($prefix)* }
    };
}
