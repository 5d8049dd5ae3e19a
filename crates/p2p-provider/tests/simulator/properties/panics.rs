//! Panics in tasks, which would otherwise be swallowed.

use std::{cell::RefCell, panic, sync::Once};

thread_local! {
    /// Panics on this thread since the last look.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// From now on panics are remembered, on the thread on which they happen.
pub(super) fn collect() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let text = info.to_string();
            PANICS.with_borrow_mut(|panics| panics.push(text));
            before(info);
        }));
    });
    take();
}

/// The panics since the last look.
pub(super) fn take() -> Vec<String> {
    PANICS.take()
}
