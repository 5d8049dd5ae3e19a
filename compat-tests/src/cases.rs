//! What every tunnel does.

pub mod identity;

/// Calls `$callback!` with `$prefix` and the whole list: modules, and the cases in each.
#[macro_export]
macro_rules! for_each_case {
    ($callback:ident! { $($prefix:tt)* }) => {
        $callback! { $($prefix)*
            identity {
                a_wrong_credential_is_unauthorized
            }
        }
    };
}
