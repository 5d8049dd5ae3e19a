//! Secrets that may be given directly or in a file.

use std::path::Path;

use crate::error::CliError;

/// The secret, if there is one; `what` names it in errors.
pub(crate) fn secret(what: &str, given: Option<&String>, file: Option<&Path>) -> Result<Option<String>, CliError> {
    let Some(file) = file else { return Ok(given.cloned()) };
    let text = std::fs::read_to_string(file).map_err(|error| {
        CliError::usage(format!("the {what} file {} cannot be read", file.display())).because(error)
    })?;
    match text.trim() {
        "" => Err(CliError::usage(format!("the {what} file {} is empty", file.display()))),
        text => Ok(Some(text.to_owned())),
    }
}
