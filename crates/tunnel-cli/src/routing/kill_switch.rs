//! The kill switch: a file, a signal or the admin endpoint sends every new request to the tunnel server.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tunnel_core::{Failure, Health, PathDetails, Request, Response, SendError, Transport, WsOpen, WsUpgrade};
use tunnel_router::Router;

/// The router, with the kill switch looked at before every request: asking the system whether a file exists costs one
/// or two microseconds, so the very next request after its creation takes the tunnel server. Clones share everything.
#[derive(Clone)]
pub(crate) struct Switched {
    router: Router,
    switch: Arc<Mutex<Switch>>,
}

struct Switch {
    file: Option<PathBuf>,
    file_exists: bool,
    /// By signal or admin endpoint.
    by_hand: bool,
    /// What the router was told.
    on: bool,
}

impl Switched {
    /// A router whose switch is on as long as the file exists.
    pub(crate) fn new(router: Router, file: Option<PathBuf>) -> Self {
        let switch = Switch { file, file_exists: false, by_hand: false, on: false };
        let switched = Self { router, switch: Arc::new(Mutex::new(switch)) };
        switched.look();
        switched
    }

    /// The router.
    pub(crate) const fn router(&self) -> &Router {
        &self.router
    }

    /// Looks at the file now. Returns whether the switch is on.
    pub(crate) fn look(&self) -> bool {
        self.change(|_| {})
    }

    /// Turns the switch on or off, as far as the file lets it. Returns whether it is on.
    pub(crate) fn set(&self, on: bool) -> bool {
        self.change(|switch| switch.by_hand = on)
    }

    /// Turns the switch that is not the file. Returns whether the whole is on.
    pub(crate) fn toggle(&self) -> bool {
        self.change(|switch| switch.by_hand = !switch.by_hand)
    }

    /// Another file, or none.
    pub(crate) fn watch_file(&self, file: Option<PathBuf>) {
        self.change(|switch| switch.file = file);
    }

    /// For the admin endpoint.
    pub(crate) fn describe(&self) -> Value {
        self.look();
        let switch = self.switch.lock().unwrap_or_else(PoisonError::into_inner);
        json!({
            "on": switch.on,
            "by_hand": switch.by_hand,
            "file": switch.file,
            "file_exists": switch.file_exists,
        })
    }

    fn change(&self, change: impl FnOnce(&mut Switch)) -> bool {
        // The router is told under the lock, so that it cannot hear two changes in the wrong order.
        let mut switch = self.switch.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut switch);
        switch.file_exists = switch.file.as_deref().is_some_and(|file| exists(file, switch.file_exists));
        let on = switch.by_hand || switch.file_exists;
        if on != switch.on {
            switch.on = on;
            // It tells the log.
            self.router.kill_switch(on);
        }
        on
    }
}

/// Whether the file is there. If the system cannot tell, nothing changes.
fn exists(file: &Path, before: bool) -> bool {
    match std::fs::symlink_metadata(file) {
        Ok(_) => true,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => false,
        Err(_) => before,
    }
}

#[async_trait]
impl Transport for Switched {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        self.look();
        self.router.send(request).await
    }

    async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        self.look();
        self.router.open_ws(open).await
    }

    fn health(&self) -> Health {
        self.look();
        self.router.health()
    }

    fn path(&self) -> Option<PathDetails> {
        self.router.path()
    }

    fn can_carry(&self, request: &Request) -> Result<(), Failure> {
        self.router.can_carry(request)
    }

    fn can_carry_ws(&self, open: &WsOpen) -> Result<(), Failure> {
        self.router.can_carry_ws(open)
    }

    fn body_bytes_max(&self) -> Option<usize> {
        self.router.body_bytes_max()
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.router.probe().await
    }
}
