//! Prints `spec/legacy-differences.md`.

#![expect(clippy::print_stdout, reason = "its purpose")]

use compat_tests::backend::legacy::differences;

fn main() {
    print!("{}", differences::document());
}
