//! A thousand bodies, cut anywhere.

use bytes::Bytes;
use http::{HeaderValue, header};
use tokio::runtime::Builder;
use tunnel_core::{FailureKind, RequestHead, Transport};
use tunnel_router::RouterConfig;

use super::{
    fake::{self, Fake, Got, get},
    file::{Break, File, content},
    over,
};

const KINDS: [FailureKind; 3] = [FailureKind::ConnectionLost, FailureKind::Unreachable, FailureKind::Timeout];

/// What the service says that allows to continue.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Validator {
    Etag,
    LastModified,
    Weak,
    None,
}

/// One body: who serves which file how, and where it breaks off.
#[derive(Debug)]
struct Case {
    file: File,
    validator: Validator,
    /// The other transport has another file by now.
    changed: bool,
    from_p2p: bool,
    range: Option<(usize, usize)>,
    first: Break,
    second: Break,
}

impl Case {
    fn new(random: &mut fastrand::Rng) -> Self {
        let length = random.usize(1..5_000);
        let mut file = File::new(content(random.u64(..), length));
        let validator = [Validator::Etag, Validator::LastModified, Validator::Weak, Validator::None][random.usize(..4)];
        (file.etag, file.last_modified) = match validator {
            Validator::Etag => (Some("\"v1\""), None),
            Validator::LastModified => (None, Some("Thu, 26 Nov 2026 11:00:00 GMT")),
            Validator::Weak => (Some("W/\"v1\""), Some("Thu, 26 Nov 2026 11:00:00 GMT")),
            Validator::None => (None, None),
        };
        file.has_length = random.u8(..4) > 0;
        file.has_ranges = random.u8(..4) > 0;
        file.piece = random.usize(1..700);
        let range = (random.bool() && file.has_ranges).then(|| {
            let first = random.usize(..length);
            (first, random.usize(first..length))
        });
        let sent = range.map_or(length, |(first, last)| last - first + 1);
        let at = |random: &mut fastrand::Rng| Break::At(random.usize(..=sent), KINDS[random.usize(..3)]);
        let first = if random.u8(..8) == 0 { Break::SilentAt(random.usize(..=sent)) } else { at(random) };
        let second = if random.u8(..4) == 0 { at(random) } else { Break::Never };
        Self { file, validator, changed: random.u8(..4) == 0, from_p2p: random.bool(), range, first, second }
    }

    /// What the caller gets, if all of it comes.
    fn wanted(&self) -> Bytes {
        self.range.map_or_else(|| self.file.content.clone(), |(first, last)| self.file.content.slice(first..=last))
    }

    async fn run(&self, seed: u64) -> (Got, u64) {
        let (p2p, legacy) = (Fake::p2p(), Fake::legacy());
        legacy.with(|state| state.drops_if_range = seed.is_multiple_of(2));
        if !self.from_p2p {
            p2p.is(fake::down());
        }
        let router = over(&p2p, &legacy, RouterConfig::default()).await;
        let (from, to) = if self.from_p2p { (&p2p, &legacy) } else { (&legacy, &p2p) };
        let (file, mut first) = (self.file.clone(), Some(self.first));
        from.on(move |seen| file.answer(seen, first.take().unwrap_or(Break::Never)));
        let mut other = self.file.clone();
        if self.changed {
            // Even of the same length.
            other.content = content(!seed, other.content.len());
            other.etag = other.etag.map(|etag| if etag.starts_with('W') { "W/\"v2\"" } else { "\"v2\"" });
            other.last_modified = other.last_modified.map(|_| "Thu, 26 Nov 2026 11:30:00 GMT");
        }
        let mut second = Some(self.second);
        to.on(move |seen| other.answer(seen, second.take().unwrap_or(Break::Never)));
        let mut request = get("/file");
        if let (RequestHead::Http(parts), Some((first, last))) = (&mut request.head, self.range) {
            let range = format!("bytes={first}-{last}");
            parts.headers.insert(header::RANGE, HeaderValue::try_from(range).expect("a value"));
        }
        let response = router.send(request).await.expect("it begins");
        p2p.is(fake::healthy());
        if matches!(self.first, Break::SilentAt(_)) {
            // The probe that follows the silence fails.
            from.with(|state| state.probe = None);
        }
        let got = fake::read(response).await;
        (got, router.status().counts.failovers_succeeded.p2p + router.status().counts.failovers_succeeded.legacy)
    }
}

#[test]
fn a_thousand_cut_bodies_are_whole_or_end_with_an_error_and_are_never_spliced_from_two_files() {
    let (mut whole, mut cut, mut spliced, mut changed) = (0, 0, 0, 0);
    for seed in 0..1_000 {
        let case = Case::new(&mut fastrand::Rng::with_seed(seed));
        let is_strong = matches!(case.validator, Validator::Etag | Validator::LastModified);
        // Silence of legacy that p2p cannot end is for legacy's own timeouts.
        if matches!(case.first, Break::SilentAt(_)) && !case.from_p2p && !is_strong {
            continue;
        }
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let (got, failovers) = runtime.block_on(case.run(seed));
        let wanted = case.wanted();
        assert!(wanted.starts_with(&got.body), "seed {seed}: a byte is wrong: {case:?}");
        if got.error.is_none() {
            assert_eq!(got.body, wanted, "seed {seed}: silently short: {case:?}");
            whole += 1;
        } else {
            cut += 1;
        }
        if case.changed || !is_strong {
            assert_eq!(failovers, 0, "seed {seed}: spliced without proof: {case:?}");
            changed += usize::from(case.changed);
        } else if matches!(case.second, Break::Never) {
            let breaks_at_the_end = matches!(case.first, Break::At(at, _) if at == wanted.len());
            assert!(got.error.is_none() || breaks_at_the_end, "seed {seed}: not continued: {:?} {case:?}", got.error);
        }
        spliced += failovers;
    }
    assert!(whole > 300 && cut > 300 && spliced > 250 && changed > 150, "{whole} {cut} {spliced} {changed}");
}
