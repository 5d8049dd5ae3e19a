//! Which transport comes first.

use crate::{
    Mode, Reason, Source,
    health::{Cause, Machine, View},
    policy::Choice,
    router::shared::Shared,
};

/// Where a request goes first, and whether the other transport may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::router) enum Route {
    /// p2p and nothing else.
    P2pOnly(Reason),
    /// p2p, and legacy as the policy allows.
    P2pFirst,
    /// Legacy. p2p as the last resort, if the mode is `P2pFirst`.
    LegacyFirst(Reason),
    /// It may only go over p2p, and there is none.
    None,
}

impl Route {
    /// The route of this moment. Costs nothing but a look at the state of p2p.
    pub(in crate::router) fn of(shared: &Shared, choice: Choice) -> Self {
        let by_policy = |otherwise| match choice.source {
            Source::KillSwitch => Reason::KillSwitch,
            Source::Override => Reason::Override,
            Source::Rule => Reason::Rule,
            Source::Rollout => Reason::Rollout,
            Source::Mode => otherwise,
        };
        match (&shared.p2p, &shared.legacy, choice.mode) {
            (None, _, Mode::P2pOnly) => Self::None,
            (None, ..) => Self::LegacyFirst(Reason::OnlyTransport),
            (_, None, _) => Self::P2pOnly(Reason::OnlyTransport),
            (_, _, Mode::Legacy) => Self::LegacyFirst(by_policy(Reason::Mode)),
            (_, _, Mode::P2pOnly) => Self::P2pOnly(by_policy(Reason::P2pOnly)),
            (_, _, Mode::P2pFirst) => match shared.look_at_p2p(p2p_absent) {
                None => Self::P2pFirst,
                Some(reason) => Self::LegacyFirst(reason),
            },
        }
    }
}

/// Why p2p is not used, if it is not.
fn p2p_absent(machine: &Machine) -> Option<Reason> {
    if machine.state().is_usable() {
        return None;
    }
    let is_first = machine.since().0 == Cause::Started && machine.view() == View::Connecting;
    Some(if is_first { Reason::P2pConnecting } else { Reason::P2pDown })
}
