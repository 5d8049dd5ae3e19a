//! `tunnel-p2p id`.

use p2p_provider::iroh::peer_id;
use serde_json::json;

use crate::{
    cli::IdOptions,
    config::{ConfigFile, HostOptions, layered},
    error::{CliError, Outcome},
    output::Output,
    state::StateDir,
};

/// Shows the peer id; makes the key or a new ticket secret when asked to.
pub(super) fn run(options: IdOptions, file: &ConfigFile, output: Output) -> Result<Outcome, CliError> {
    let flags = HostOptions { state_dir: options.state_dir, ..HostOptions::default() };
    let host: HostOptions = layered(file, "host", &flags)?;
    let state = StateDir::new(host.state_dir)?;
    let key = if options.create { state.key_or_create()? } else { state.key()? };
    if options.new_secret {
        state.rotate_secret()?;
        output
            .note("The ticket secret is new: restart the host to get its new ticket; older tickets then stop working.");
    }
    let peer_id = peer_id(&key).to_string();
    output.json(&json!({
        "event": "id",
        "peer_id": peer_id,
        "state_dir": state.path(),
        "new_secret": options.new_secret,
    }));
    output.text(&peer_id);
    Ok(Outcome::Done)
}
