//! What the lab needs of the machine, and what to do about what is missing.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The tools by which the NAT lab's networks are made, and the packages that have them.
pub(crate) const NAT_TOOLS: [(&str, &str); 2] = [("nft", "nftables"), ("tc", "iproute2")];

/// Those of the WAN lab.
pub(crate) const WAN_TOOLS: [(&str, &str); 1] = [("ip", "iproute2")];

/// Where tools for administrators are, which is not in everybody's PATH.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// What is missing here, each with the next step; empty if nothing is.
pub(crate) fn missing(namespaces: &anyhow::Result<()>, tools: &[(&str, &str)]) -> Vec<String> {
    let mut missing = Vec::new();
    if let Err(error) = namespaces {
        missing.push(format!(
            "user namespaces: {error}. Allow them: sysctl -w kernel.unprivileged_userns_clone=1, and on Ubuntu \
             sysctl -w kernel.apparmor_restrict_unprivileged_userns=0; a container may need --privileged"
        ));
    }
    for (tool, package) in tools {
        if find(tool).is_none() {
            missing.push(format!("the tool `{tool}`: install it with `apt-get install {package}` or the like"));
        }
    }
    missing
}

/// The binary to run: the one that is named, or the one beside this program.
pub(crate) fn binary(named: Option<&Path>) -> Result<PathBuf, String> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => env::current_exe().map_err(|error| error.to_string())?.with_file_name("tunnel-p2p"),
    };
    let path = path.canonicalize().map_err(|error| {
        format!(
            "no binary at {}: {error}. Build it with `cargo build --release`, or name one with --binary PATH",
            path.display()
        )
    })?;
    let version = Command::new(&path).arg("--version").stdin(Stdio::null()).output();
    match version {
        Ok(output) if output.status.success() => Ok(path),
        Ok(output) => Err(format!("{} --version ends with {}", path.display(), output.status)),
        Err(error) => Err(format!("{} does not run: {error}", path.display())),
    }
}

/// Where a tool is.
pub(crate) fn find(tool: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = SYSTEM_DIRECTORIES.iter().map(PathBuf::from);
    env::split_paths(&path).chain(system).map(|directory| directory.join(tool)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_says_what_to_do() {
        let missing = missing(&Err(anyhow::anyhow!("not permitted")), &NAT_TOOLS);
        assert!(missing[0].contains("not permitted") && missing[0].contains("sysctl"), "{missing:?}");
        let message = binary(Some(Path::new("/nowhere/tunnel-p2p"))).unwrap_err();
        assert!(message.contains("cargo build --release") && message.contains("--binary"), "{message}");
    }

    #[test]
    fn tools_are_found_by_name() {
        assert!(find("sh").is_some());
        assert!(find("no-such-tool-at-all").is_none());
    }
}
