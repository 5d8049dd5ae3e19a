//! The streams of one body, in whatever order they arrive.

use crate::wire::{WireError, continuation::Continuation};

/// What has arrived of the continuation of a body.
#[derive(Debug)]
pub(super) struct Arrived<T>(Result<Vec<Option<T>>, WireError>);

impl<T> Default for Arrived<T> {
    fn default() -> Self {
        Self(Ok(Vec::new()))
    }
}

impl<T> Arrived<T> {
    /// Takes a part. If it contradicts the others, all of them are dropped.
    pub(super) fn add(&mut self, place: Continuation, part: T) {
        let Ok(parts) = &mut self.0 else { return };
        let count = usize::from(place.count);
        if parts.is_empty() {
            parts.resize_with(count, || None);
        }
        let fits = parts.len() == count;
        match parts.get_mut(usize::from(place.index)) {
            Some(free @ None) if fits => *free = Some(part),
            _ => self.0 = Err(WireError::Part { index: place.index, count: place.count }),
        }
    }

    /// All parts by their turn, or what is wrong with them; `None` while some are missing.
    pub(super) fn take(&mut self) -> Option<Result<Vec<T>, WireError>> {
        match &mut self.0 {
            Ok(parts) if parts.is_empty() || parts.iter().any(Option::is_none) => None,
            Ok(parts) => Some(Ok(parts.drain(..).flatten().collect())),
            Err(error) => Some(Err(error.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(places: &[(u8, u8)]) -> Option<Result<Vec<(u8, u8)>, WireError>> {
        let mut arrived = Arrived::default();
        for &(index, count) in places {
            arrived.add(Continuation { exchange: 4, index, count }, (index, count));
        }
        arrived.take()
    }

    #[test]
    fn parts_come_in_any_order_and_are_taken_by_turn() {
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[(0, 1)]), Some(Ok(vec![(0, 1)])));
        assert_eq!(after(&[(2, 3), (0, 3)]), None);
        assert_eq!(after(&[(2, 3), (0, 3), (1, 3)]), Some(Ok(vec![(0, 3), (1, 3), (2, 3)])));
    }

    #[test]
    fn parts_that_contradict_each_other_are_wrong_for_good() {
        let wrong = |index, count| Some(Err(WireError::Part { index, count }));
        assert_eq!(after(&[(0, 2), (0, 2)]), wrong(0, 2), "twice");
        assert_eq!(after(&[(0, 2), (1, 3)]), wrong(1, 3), "of another number of parts");
        assert_eq!(after(&[(2, 3), (0, 1)]), wrong(0, 1), "whole beside a part");
        assert_eq!(after(&[(0, 1), (0, 1)]), wrong(0, 1), "whole twice");
        assert_eq!(after(&[(1, 2), (1, 2), (0, 2)]), wrong(1, 2), "too late to be right");
    }
}
