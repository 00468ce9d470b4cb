//! These tests check statements in the sources: rows are locked in one file, read by name, and written without long
//! lists of numbered parameters.

use std::fs;
use std::path::{Path, PathBuf};

/// The one file that locks rows.
const LOCKS: &str = "domain/src/foundation/locks.rs";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines of the crates that are shipped, without their comments, each with its file and number.
fn code() -> Vec<(String, String)> {
    let root = root();
    let mut paths = Vec::new();
    for krate in ["api/src", "domain/src", "entity/src"] {
        files(&root.join(krate), &mut paths);
    }
    let mut lines = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let numbered = text.lines().zip(1..);
        let code = numbered.filter(|(line, _)| !line.trim_start().starts_with("//"));
        lines.extend(code.map(|(line, number)| (format!("{name}:{number}"), line.to_owned())));
    }
    assert!(lines.len() > 10_000, "{} lines were found", lines.len());
    lines
}

fn found(is_wanted: impl Fn(&str, &str) -> bool) -> Vec<(String, String)> {
    let mut lines = code();
    lines.retain(|(source, line)| is_wanted(source, line));
    lines
}

#[test]
fn rows_are_locked_in_one_file() {
    let locks = [
        "LockType",
        "LockBehavior",
        "lock_exclusive",
        "lock_shared",
        "lock_with_tables",
        "lock_with_behavior",
        "FOR UPDATE",
        "FOR NO KEY UPDATE",
        "FOR SHARE",
        "FOR KEY SHARE",
    ];
    let locks = |line: &str| locks.iter().any(|lock| line.contains(lock));
    assert!(!found(|source, line| source.starts_with(LOCKS) && locks(line)).is_empty());
    let elsewhere = found(|source, line| !source.starts_with(LOCKS) && locks(line));
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

#[test]
fn rows_are_read_by_name() {
    let by_index = found(|_, line| line.contains("try_get_by_index"));
    assert!(by_index.is_empty(), "{by_index:#?}");
}

#[test]
fn no_statement_numbers_more_than_ten_parameters() {
    let numbers_more = |line: &str| {
        let parameters = line.split('$').skip(1);
        let digits = parameters.map(|text| {
            let end = text.find(|sign: char| !sign.is_ascii_digit());
            &text[..end.unwrap_or(text.len())]
        });
        digits
            .filter_map(|digits| digits.parse::<u32>().ok())
            .any(|number| number > 10)
    };
    let long = found(|_, line| numbers_more(line));
    assert!(long.is_empty(), "{long:#?}");
}
