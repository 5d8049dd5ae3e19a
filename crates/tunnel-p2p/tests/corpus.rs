//! Replays the fuzzing corpus, as it is and mutated, so that every run of the tests has a little of the fuzzing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use proptest::{collection::vec, prelude::*, sample::Index};
use tunnel_p2p::fuzzing::decode_frames;

/// The files by path, in this order on every machine.
static CORPUS: LazyLock<BTreeMap<PathBuf, Vec<u8>>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/frames");
    let paths = fs::read_dir(folder).expect("the corpus is part of the repository");
    let paths = paths.map(|entry| entry.expect("the folder can be read").path());
    paths.map(|path| (path.clone(), fs::read(path).expect("the file can be read"))).collect()
});

fn file(index: Index) -> &'static [u8] {
    CORPUS.values().nth(index.index(CORPUS.len())).expect("an index is within")
}

/// A change as a fuzzer makes it.
#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Truncate(Index),
    /// The tail of another file.
    Splice(Index, Index, Index),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |index: &Index, length: usize| index.index(length + 1);
        let length = bytes.len();
        match self {
            Self::Set(at, byte) => {
                if let Some(place) = bytes.get_mut(place(at, length)) {
                    *place = *byte;
                }
            }
            Self::Insert(at, more) => {
                let at = place(at, length);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = place(at, length);
                bytes.drain(at..length.min(at + count));
            }
            Self::Truncate(at) => bytes.truncate(place(at, length)),
            Self::Splice(index, from, at) => {
                let other = file(*index);
                bytes.truncate(place(at, length));
                bytes.extend_from_slice(&other[place(from, other.len())..]);
            }
        }
    }
}

fn mutations() -> impl Strategy<Value = Mutation> {
    let extreme = prop_oneof![any::<u8>(), Just(0), Just(250), 251u8..];
    prop_oneof![
        4 => (any::<Index>(), extreme.clone()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        1 => (any::<Index>(), vec(extreme, 1..12)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        1 => (any::<Index>(), 1usize..12).prop_map(|(at, count)| Mutation::Remove(at, count)),
        1 => any::<Index>().prop_map(Mutation::Truncate),
        1 => any::<(Index, Index, Index)>().prop_map(|(index, from, at)| Mutation::Splice(index, from, at)),
    ]
}

#[test]
fn the_corpus_is_there() {
    assert!(CORPUS.len() >= 50, "{} files", CORPUS.len());
}

#[test]
fn every_file_of_the_corpus_is_decoded_or_refused() {
    for bytes in CORPUS.values() {
        decode_frames(bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_are_decoded_or_refused(index: Index, mutations in vec(mutations(), 1..8)) {
        let mut bytes = file(index).to_vec();
        for mutation in mutations {
            mutation.apply(&mut bytes);
        }
        decode_frames(&bytes);
    }
}
