//! This module builds the workspace's programs and finds their executables, so that tests run them as a user does.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// Path of the built executable `tradeline`. The first access builds it.
pub static TRADELINE: LazyLock<PathBuf> = LazyLock::new(|| built("tradeline"));
/// Path of the built executable `migration`. The first access builds it.
pub static MIGRATION: LazyLock<PathBuf> = LazyLock::new(|| built("migration"));

/// Builds the programs with cargo and returns the path of this one. The package `tests` is built in the same command:
/// otherwise the dependencies would be compiled again with other features.
fn built(name: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    // Cargo passes these variables to the tests of this package. A build script that reads one would see it as changed.
    // Half of the dependencies would then be rebuilt, now and again at the next `cargo test`.
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
    found.unwrap_or_else(|| panic!("cargo does not report the path of {name}: {messages}"))
}
