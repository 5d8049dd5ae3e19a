//! The target of a request arrives byte for byte: decoding and normalizing are up to the service.

use crate::{backend::Backend, pair::Pair, request::get, service::Service};

/// Whoever decodes a path on the way changes what it names.
pub async fn raw_paths_arrive_exactly<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::echo()).await;
    let targets = ["/", "//", "/a%2Fb//c/../d/./e", "/%00%ff", "/a%20b+c", "/~!$&'()*+,;=:@-._", "/A/%c3%A9", "/a/"];
    for target in targets {
        assert_eq!(pair.answer(get(target)).await.headers["x-target"], target);
    }
}

/// Repeated keys, empty values and their order have a meaning for some services.
pub async fn raw_queries_arrive_exactly<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::echo()).await;
    let targets =
        ["/?", "/?x", "/?x=", "/?b=1&a=2&b=1", "/?x=1&x=%20&y=&%E2%9C%93", "/?a=b?c=d/e", "/?&&=&", "/?a+b=c%2B"];
    for target in targets {
        assert_eq!(pair.answer(get(target)).await.headers["x-target"], target);
    }
}

/// 16 KiB is twice of what common servers take.
pub async fn long_ones_arrive<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::echo()).await;
    let target = format!("/{}?{}", "p".repeat(8 << 10), "q".repeat(8 << 10));
    assert_eq!(pair.answer(get(&target)).await.headers["x-target"], target);
}
