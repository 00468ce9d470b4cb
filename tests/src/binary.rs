//! The workspace's programs, as a user runs them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// The program `tradeline`.
pub static TRADELINE: LazyLock<PathBuf> = LazyLock::new(|| built("tradeline"));
/// The program `migration`.
pub static MIGRATION: LazyLock<PathBuf> = LazyLock::new(|| built("migration"));

/// Has cargo build the programs and say where it has put this one. Together with the package of the tests, so that the
/// dependencies have the features that they were built with already.
fn built(name: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo says of this package to its tests. A build script that looks at such a variable would think that it
    // has changed, and half of the dependencies would be built again, and once more by the next `cargo test`.
    let about_us =
        |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars().filter(|(name, _)| about_us(name)) {
        cargo.env_remove(name);
    }
    let output = cargo
        .args(["build", "--message-format=json", "--quiet"])
        .args(["-p", "tests", "-p", "tradeline", "-p", "migration"])
        .args(["--bin", "tradeline", "--bin", "migration"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} is not built: {stderr}");
    let messages = String::from_utf8(output.stdout).unwrap();
    let found = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).unwrap();
        let is_it = message["target"]["name"] == name;
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    found.unwrap_or_else(|| panic!("cargo does not say where {name} is: {messages}"))
}
