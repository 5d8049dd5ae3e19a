//! Every case, on every backend.

use std::{collections::BTreeMap, fs, path::Path};

use compat_tests::backend::{
    AnyBackend, Run,
    differences::{self, Way},
    dual::DualBackend,
    facade::FacadeBackend,
    iroh::IrohBackend,
    legacy::LegacyBackend,
    simulator::SimBackend,
    world::{Real, Simulated, World},
};
use futures::future::LocalBoxFuture;

/// Makes tests of a list of cases, which `$run` runs. The names are `backend::module::case`.
macro_rules! tests {
    ($run:expr, $cases:path; $($module:ident { $($case:ident)* })*) => {
        $(mod $module {
            use $cases as cases;

            $(#[test]
            fn $case() {
                let name = concat!(stringify!($module), "::", stringify!($case));
                $run(name, |backend| Box::pin(cases::$module::$case(backend)));
            })*
        })*
    };
}

/// Runs a case of tunnels. It is compiled once for all backends.
fn run<B: Run>(name: &str, case: fn(AnyBackend) -> LocalBoxFuture<'static, ()>) {
    B::run(name, |backend| case(AnyBackend::new(backend)));
}

/// Runs a case of peers.
fn run_peers<B: Run>(name: &str, case: fn(B) -> LocalBoxFuture<'static, ()>) {
    B::run(name, case);
}

/// Runs a case of a tunnel server, or of two transports.
fn run_world<W: World>(name: &str, case: fn(W) -> LocalBoxFuture<'static, ()>) {
    W::run(name, case);
}

mod iroh {
    compat_tests::for_each_case! { tests! { crate::run::<crate::IrohBackend>, compat_tests::cases; } }
    compat_tests::for_each_peer_case! { tests! { crate::run_peers::<crate::IrohBackend>, compat_tests::peer_cases; } }
}

mod simulator {
    compat_tests::for_each_case! { tests! { crate::run::<crate::SimBackend>, compat_tests::cases; } }
    compat_tests::for_each_peer_case! { tests! { crate::run_peers::<crate::SimBackend>, compat_tests::peer_cases; } }
}

mod legacy {
    compat_tests::for_each_case! { tests! { crate::run::<crate::LegacyBackend<crate::Real>>, compat_tests::cases; } }
    mod protocol {
        compat_tests::for_each_legacy_case! { tests! { crate::run_world::<crate::Real>, compat_tests::legacy_cases; } }
    }
}

mod simulated_legacy {
    compat_tests::for_each_case! { tests! { crate::run::<crate::LegacyBackend<crate::Simulated>>, compat_tests::cases; } }
    mod protocol {
        compat_tests::for_each_legacy_case! { tests! { crate::run_world::<crate::Simulated>, compat_tests::legacy_cases; } }
    }
}

mod dual {
    compat_tests::for_each_case! { tests! { crate::run::<crate::DualBackend<crate::Real>>, compat_tests::cases; } }
    mod fallback {
        compat_tests::for_each_fallback_case! { tests! { crate::run_world::<crate::Real>, compat_tests::fallback_cases; } }
    }
}

mod simulated_dual {
    compat_tests::for_each_case! { tests! { crate::run::<crate::DualBackend<crate::Simulated>>, compat_tests::cases; } }
    mod fallback {
        compat_tests::for_each_fallback_case! { tests! { crate::run_world::<crate::Simulated>, compat_tests::fallback_cases; } }
    }
}

mod simulated_dual_fallen {
    compat_tests::for_each_case! { tests! { crate::run::<crate::DualBackend<crate::Simulated, false>>, compat_tests::cases; } }
}

mod facade {
    compat_tests::for_each_case! { tests! { crate::run::<crate::FacadeBackend<crate::Real>>, compat_tests::cases; } }
}

mod simulated_facade {
    compat_tests::for_each_case! { tests! { crate::run::<crate::FacadeBackend<crate::Simulated>>, compat_tests::cases; } }
}

/// The cases by module.
type Cases = BTreeMap<String, Vec<String>>;

/// Makes a value of a list of cases.
macro_rules! listed {
    ($($module:ident { $($case:ident)* })*) => {
        [$((stringify!($module), &[$(stringify!($case)),*][..])),*]
    };
}

fn cases<const N: usize>(listed: [(&str, &[&str]); N]) -> Cases {
    let owned = |cases: &[&str]| cases.iter().map(ToString::to_string).collect();
    listed.into_iter().map(|(module, cases)| (module.to_owned(), owned(cases))).collect()
}

/// What stands in the sources: every public async function in the files of this folder, in the order of the file.
fn written(folder: &str) -> Cases {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
    let Ok(files) = fs::read_dir(&folder) else { return Cases::new() };
    let case = |line: &str| Some(line.strip_prefix("pub async fn ")?.split(['<', '(']).next()?.to_owned());
    let module = |path: &Path| {
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("a source").lines().filter_map(case).collect())
    };
    // A file without a case is there for the others.
    let paths = files.map(|file| file.expect("the folder can be read").path());
    let modules = paths.filter(|path| path.is_file()).map(|path| module(&path));
    modules.filter(|(_, cases): &(String, Vec<String>)| !cases.is_empty()).collect()
}

#[test]
fn every_case_that_is_written_is_listed() {
    assert_eq!(cases(compat_tests::for_each_case! { listed! {} }), written("cases"));
    assert_eq!(cases(compat_tests::for_each_peer_case! { listed! {} }), written("peer_cases"));
    assert_eq!(cases(compat_tests::for_each_legacy_case! { listed! {} }), written("legacy_cases"));
    assert_eq!(cases(compat_tests::for_each_fallback_case! { listed! {} }), written("fallback_cases"));
}

#[test]
fn every_difference_is_of_a_case_and_written_down() {
    let listed = cases(compat_tests::for_each_case! { listed! {} });
    for way in Way::ALL {
        let mut seen = std::collections::BTreeSet::new();
        let limits = differences::LIMITS.iter().filter(|limit| limit.ways.contains(&way));
        for (case, _) in limits.flat_map(|limit| limit.cases) {
            let (module, name) = case.split_once("::").expect("module::case");
            let cases = listed.get(module);
            assert!(cases.is_some_and(|cases| cases.iter().any(|listed| listed == name)), "no case is {case}");
            assert!(seen.insert(case), "{case} is there twice for {way:?}");
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/differences.md");
    let written = fs::read_to_string(file).expect("the document is there");
    assert!(
        written == differences::document(),
        "spec/differences.md is out of date: its first lines say how to make it"
    );
}
