//! Every case, on every backend.

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
