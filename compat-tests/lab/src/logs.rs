//! The logs of the product's processes: those of a failed run are kept, others if wanted.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::record::Record;

/// Keeps what a run has logged, under the name of the run if there is a place for all logs, and notes where.
pub(crate) fn keep(directory: TempDir, place: Option<&Path>, name: &str, record: &mut Record) -> Result<()> {
    if let Some(place) = place {
        let place = place.join(name.replace('/', "-"));
        copy(directory.path(), &place)?;
        record.logs = Some(place);
    } else if !record.held() {
        record.logs = Some(directory.keep());
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from)? {
        let path: PathBuf = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|extension| extension == "log")) {
            fs::copy(&path, to.join(name)).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}
