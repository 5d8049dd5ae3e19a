//! Prints `spec/differences.md`.

#![expect(clippy::print_stdout, reason = "its purpose")]

use compat_tests::backend::differences;

fn main() {
    print!("{}", differences::document());
}
