//! What the last exchange said about the way.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tunnel_core::{Failure, FailureKind, Health, PathKind};

pub(super) struct Standing {
    client_id: Option<String>,
    state: Mutex<State>,
}

enum State {
    Untried,
    Good,
    /// The tunnel server could not be reached.
    NoServer(Failure),
    /// The tunnel server answers, but not for the home server.
    NoHost(Failure),
}

impl Standing {
    pub(super) const fn new(client_id: Option<String>) -> Self {
        Self { client_id, state: Mutex::new(State::Untried) }
    }

    pub(super) fn health(&self) -> Health {
        match &*self.lock() {
            State::Untried => Health::Probing,
            State::Good => Health::Healthy { path: PathKind::Server, client_id: self.client_id.clone() },
            State::NoServer(failure) | State::NoHost(failure) => Health::Down(failure.clone()),
        }
    }

    /// The home server has answered.
    pub(super) fn answered(&self) {
        *self.lock() = State::Good;
    }

    /// The tunnel server has answered by itself: that says nothing about the home server.
    pub(super) fn server_answered(&self) {
        let mut state = self.lock();
        if !matches!(*state, State::NoHost(_)) {
            *state = State::Good;
        }
    }

    /// The tunnel server says that the home server cannot be asked.
    pub(super) fn refused(&self, failure: &Failure) {
        *self.lock() = State::NoHost(failure.clone());
    }

    /// An exchange failed. Only failures of the way count.
    pub(super) fn failed(&self, failure: &Failure) {
        match failure.kind() {
            FailureKind::Unreachable | FailureKind::ConnectionLost => {
                *self.lock() = State::NoServer(failure.clone());
            }
            // Nobody answers, which is how the published tunnel server looks when the home server has gone.
            FailureKind::Timeout => self.refused(failure),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
