//! Every case, on every backend.

use std::{collections::BTreeMap, fs, path::Path};

/// Makes tests of a list of cases, for one backend. The names are `backend::module::case`.
macro_rules! tests {
    ($backend:ty, $cases:path; $($module:ident { $($case:ident)* })*) => {
        $(mod $module {
            use compat_tests::backend::Backend;
            use $cases as cases;

            $(#[test]
            fn $case() {
                let name = concat!(stringify!($module), "::", stringify!($case));
                <$backend as Backend>::run(name, cases::$module::$case);
            })*
        })*
    };
}

mod iroh {
    compat_tests::for_each_case! { tests! { compat_tests::backend::iroh::IrohBackend, compat_tests::cases; } }
    compat_tests::for_each_peer_case! { tests! { compat_tests::backend::iroh::IrohBackend, compat_tests::peer_cases; } }
}

mod simulator {
    compat_tests::for_each_case! { tests! { compat_tests::backend::simulator::SimBackend, compat_tests::cases; } }
    compat_tests::for_each_peer_case! { tests! { compat_tests::backend::simulator::SimBackend, compat_tests::peer_cases; } }
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
