//! The documents list exactly what the program has: error codes, settings, metrics, and the order of the wings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, CommandFactory};
use domain::audit::Action;
use tradeline::config::Cli;
use tradeline::schema::problem::Code;

/// The texts in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The cells of a table's row.
fn cells(line: &str) -> Vec<&str> {
    let row = line.trim().trim_matches('|');
    row.split(" | ").map(str::trim).collect()
}

#[test]
fn the_apis_page_lists_exactly_the_audit_actions_that_there_are() {
    let page = include_str!("../../../../docs/api.md");
    let (_, table) = page.split_once("\n## Audit actions\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let listed: Vec<String> = rows.map(|row| quoted(cells(row)[0]).remove(0)).collect();
    let had: Vec<&str> = Action::ALL.iter().map(|action| action.text()).collect();
    assert_eq!(listed, had);
}

#[test]
fn the_apis_page_explains_exactly_the_codes_that_there_are() {
    let page = include_str!("../../../../docs/api.md");
    let (_, errors) = page.split_once("\n## Errors\n").unwrap();
    let mut explained = BTreeMap::new();
    for entry in errors.split("\n### ").skip(1) {
        let (code, text) = entry.split_once('\n').unwrap();
        let (facts, text) = text.trim().split_once('\n').unwrap();
        assert!(text.contains("**Do:**"), "{code} does not say what to do");
        let status = facts.split(['.', ' ']).nth(1).unwrap().parse().unwrap();
        let members: BTreeSet<String> = quoted(facts).into_iter().collect();
        let earlier = explained.insert(code.to_owned(), (status, members));
        assert!(earlier.is_none(), "{code} is explained twice");
    }
    let had = Code::ALL.iter().map(|code| {
        let members = code.members().into_iter();
        let members = members.map(|member| member.name.to_owned());
        let facts: (u16, BTreeSet<String>) = (code.status().as_u16(), members.collect());
        (code.text().to_owned(), facts)
    });
    assert_eq!(explained, had.collect());

    let index = errors.split("\n### ").next().unwrap();
    for code in explained.keys() {
        let link = format!("[`{code}`](#{code})");
        assert!(index.contains(&link), "the table of codes lacks {code}");
    }
}

/// A flag with its variable and its default, if it has one.
type Setting = (Option<String>, Option<String>);

/// The settings of one command, by flag.
type Settings = BTreeMap<String, Setting>;

/// Those that the tables of a page list: flag, variable, default, effect; or without the variable.
fn listed(page: &str) -> Settings {
    let rows = page.lines().filter(|line| line.starts_with("| `--"));
    rows.map(|row| {
        let cells = cells(row);
        let mut texts = cells.iter().map(|cell| quoted(cell).into_iter().next());
        let flag = texts.next().flatten().unwrap();
        let variable = (cells.len() == 4).then(|| texts.next().flatten().unwrap());
        let default = texts.next().flatten();
        assert!(
            texts.next().is_some(),
            "{row}: flag, perhaps a variable, default, effect"
        );
        (flag, (variable, default))
    })
    .collect()
}

fn had<'a>(arguments: impl Iterator<Item = &'a Arg>) -> Settings {
    let settings = arguments.filter_map(|argument| {
        let flag = argument.get_long()?;
        let is_setting = !["help", "version"].contains(&flag);
        let variable = argument.get_env();
        let variable = variable.map(|name| name.to_string_lossy().into_owned());
        let mut defaults = argument.get_default_values().iter();
        let default = defaults.next();
        assert!(defaults.next().is_none(), "{flag} has one default");
        let default = default.map(|value| value.to_string_lossy().into_owned());
        is_setting.then(|| (format!("--{flag}"), (variable, default)))
    });
    settings.collect()
}

#[test]
fn the_page_of_settings_lists_exactly_what_the_program_takes_with_its_defaults() {
    let page = include_str!("../../../../docs/configuration.md");
    let (settings, commands) = page.split_once("\n## Commands\n").unwrap();
    let mut program = Cli::command();
    program.build();
    assert_eq!(listed(settings), had(program.get_arguments()));

    let (table, sections) = commands.split_once("\n### ").unwrap();
    let mut explained: BTreeMap<String, Settings> = BTreeMap::new();
    for section in sections.split("\n### ") {
        let (heading, text) = section.split_once('\n').unwrap();
        let name = heading.strip_prefix("tradeline ").unwrap();
        explained.insert(name.to_owned(), listed(text));
    }
    for command in program.get_subcommands() {
        let name = command.get_name();
        if name == "help" {
            continue;
        }
        let is_named = table.contains(&format!("`tradeline {name}`"));
        assert!(is_named, "{name} is not in the table of commands");
        let own = had(command.get_arguments().filter(|one| !one.is_global_set()));
        let explained = explained.remove(name).unwrap_or_default();
        assert_eq!(explained, own, "{name}");
    }
    assert!(explained.is_empty(), "no such command: {explained:?}");
}

/// The workspace's folder.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust files below this folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_page_of_operations_lists_exactly_the_metrics_that_are_recorded() {
    let page = include_str!("../../../../docs/operations.md");
    let (_, section) = page.split_once("\n## Monitoring\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| `tradeline_"));
    let listed: BTreeSet<String> = rows.map(|row| quoted(row).remove(0)).collect();
    let mut recorded = BTreeSet::new();
    for folder in ["api/src", "domain/src"] {
        for path in sources(&workspace().join(folder)) {
            let source = fs::read_to_string(path).unwrap();
            let names = source.split(['"', '\n']).filter(|text| {
                let name = text.strip_prefix("tradeline_").unwrap_or_default();
                let is_name = |byte: u8| byte == b'_' || byte.is_ascii_lowercase();
                name.len() > 5 && name.bytes().all(is_name)
            });
            recorded.extend(names.map(str::to_owned));
        }
    }
    // The database's roles have such names too.
    for role in ["tradeline_service", "tradeline_owner"] {
        recorded.remove(role);
    }
    assert_eq!(listed, recorded);
}
