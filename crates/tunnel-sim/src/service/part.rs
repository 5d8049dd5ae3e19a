//! Which part of a file a service sends.

use std::ops::Range;

use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, RANGE},
};

use crate::plan::{End, Plan};

/// The head of a response, and the part of the file that is its body (RFC 9110 §14).
pub(super) struct Part {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Range<u64>,
}

/// What the n-th execution of the plan answers to a request with these headers.
pub(super) fn part_of(plan: &Plan, execution: u32, method: &Method, request: &HeaderMap) -> Part {
    let (file, whole) = (plan.file, plan.down);
    let version = file.version(execution);
    let mut headers = file.headers(plan.id, version);
    let applies = request.get(IF_RANGE).is_none_or(|if_range| file.is_still(plan.id, version, if_range));
    let wanted = request.get(RANGE).filter(|_| file.ranges && applies && *method == Method::GET);
    let (status, bytes) = match wanted.and_then(|range| parse(range, whole)) {
        None => (StatusCode::OK, 0..whole),
        Some(bytes) if bytes.is_empty() => {
            headers.insert(CONTENT_RANGE, value(&format!("bytes */{whole}")));
            return Part { status: StatusCode::RANGE_NOT_SATISFIABLE, headers, bytes: 0..0 };
        }
        Some(bytes) => {
            let range = format!("bytes {}-{}/{whole}", bytes.start, bytes.end - 1);
            headers.insert(CONTENT_RANGE, value(&range));
            (StatusCode::PARTIAL_CONTENT, bytes)
        }
    };
    // What does not end as declared says so by its size hint.
    if plan.declared && plan.response_end() == End::Proper {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.end - bytes.start));
    }
    Part { status, headers, bytes }
}

/// From which byte on a part is wanted.
pub(super) fn asked_from(request: &HeaderMap, whole: u64) -> Option<u64> {
    request.get(RANGE).and_then(|range| parse(range, whole)).map(|bytes| bytes.start)
}

/// The one range that is wanted: empty if there is none of it, `None` if the header is to be ignored.
fn parse(header: &HeaderValue, whole: u64) -> Option<Range<u64>> {
    let (first, last) = header.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        return Some(whole.saturating_sub(last.parse().ok()?)..whole);
    }
    let first = first.parse().ok()?;
    let end =
        if last.is_empty() { whole } else { last.parse::<u64>().ok().filter(|last| *last >= first)?.saturating_add(1) };
    Some(first..end.min(whole))
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("it is plain")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{File, Validator};

    fn ask(plan: &Plan, execution: u32, headers: &[(http::HeaderName, &'static str)]) -> (u16, Range<u64>) {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        let part = part_of(plan, execution, &Method::GET, &headers);
        (part.status.as_u16(), part.bytes)
    }

    #[test]
    fn sends_the_part_that_is_asked_for() {
        let plan = Plan::file(1, 100);
        for (range, status, bytes) in [
            ("bytes=0-", 206, 0..100),
            ("bytes=40-", 206, 40..100),
            ("bytes=40-49", 206, 40..50),
            ("bytes=40-1000", 206, 40..100),
            ("bytes=-1", 206, 99..100),
            ("bytes=-1000", 206, 0..100),
            ("bytes=100-", 416, 0..0),
            ("bytes=-0", 416, 0..0),
            ("bytes=9-8", 200, 0..100),
            ("bytes=1-2,4-5", 200, 0..100),
            ("lines=1-", 200, 0..100),
        ] {
            assert_eq!(ask(&plan, 1, &[(RANGE, range)]), (status, bytes), "{range}");
        }
        let without = Plan { file: File { ranges: false, ..plan.file }, ..plan };
        assert_eq!(ask(&without, 1, &[(RANGE, "bytes=40-")]), (200, 0..100));
    }

    #[test]
    fn sends_all_of_what_has_changed() {
        let plan = Plan { file: File { changes: 2, ..File::STRONG }, ..Plan::file(1, 100) };
        let ask = |plan: &Plan, execution, tag| ask(plan, execution, &[(RANGE, "bytes=40-"), (IF_RANGE, tag)]);
        assert_eq!(ask(&plan, 1, "\"1-0\""), (206, 40..100));
        assert_eq!(ask(&plan, 2, "\"1-0\""), (200, 0..100));
        assert_eq!(ask(&plan, 2, "\"1-1\""), (206, 40..100));
        let weak = Plan { file: File { validator: Validator::Weak, ..plan.file }, ..plan };
        assert_eq!(ask(&weak, 1, "W/\"1\""), (200, 0..100));
    }

    #[test]
    fn says_what_it_sends() {
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=40-"))]);
        let part = part_of(&Plan::file(1, 100), 1, &Method::GET, &headers);
        assert_eq!(part.headers[CONTENT_RANGE], "bytes 40-99/100");
        assert_eq!(part.headers[CONTENT_LENGTH], "60");
        assert_eq!(part.headers[http::header::ETAG], "\"1-0\"");
    }
}
