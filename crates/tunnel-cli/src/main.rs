//! The `tunnel-p2p` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    tunnel_cli::main()
}
