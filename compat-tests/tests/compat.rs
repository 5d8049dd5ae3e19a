//! Every case, on every backend.

use std::{collections::BTreeMap, fs, path::Path};

use compat_tests::backend::{AnyBackend, Run, iroh::IrohBackend, simulator::SimBackend};
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

mod iroh {
    compat_tests::for_each_case! { tests! { crate::run::<crate::IrohBackend>, compat_tests::cases; } }
    compat_tests::for_each_peer_case! { tests! { crate::run_peers::<crate::IrohBackend>, compat_tests::peer_cases; } }
}

mod simulator {
    compat_tests::for_each_case! { tests! { crate::run::<crate::SimBackend>, compat_tests::cases; } }
    compat_tests::for_each_peer_case! { tests! { crate::run_peers::<crate::SimBackend>, compat_tests::peer_cases; } }
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
    let modules = files.map(|file| module(&file.expect("the folder can be read").path()));
    modules.filter(|(_, cases): &(String, Vec<String>)| !cases.is_empty()).collect()
}

#[test]
fn every_case_that_is_written_is_listed() {
    assert_eq!(cases(compat_tests::for_each_case! { listed! {} }), written("cases"));
    assert_eq!(cases(compat_tests::for_each_peer_case! { listed! {} }), written("peer_cases"));
}
