//! These tests hold the layers of the source against `ARCHITECTURE.md`. The wings of `domain` and the folders of `api`
//! are in a fixed order, and each uses only those below it. No modules form a cycle. A raw statement has a reason.
//!
//! The tests parse `use` lines and paths that begin with `crate`, `self` or `super`, and follow re-exports. From
//! outside, a module and its content count as one, so a folder's files may use what their folder's module declares.
//! Test modules inside the source may use anything.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the failure of a test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, UseTree, Visibility};

/// The wings of `domain`, lowest first.
const DOMAIN: [&str; 13] = [
    "foundation",
    "audit",
    "identity",
    "stock",
    "catalogue",
    "orders",
    "receivables",
    "reports",
    "card",
    "cancellation",
    "desk",
    "verify",
    "demo",
];

/// The folders and files of `api`, lowest first.
const API: [&str; 13] = [
    "schema",
    "http",
    "access",
    "payments",
    "config",
    "readiness",
    "metrics",
    "state",
    "handlers",
    "app",
    "commands",
    "service",
    "main",
];

#[test]
fn wings_use_only_what_is_below_them() {
    for (name, order) in [("domain", DOMAIN.as_slice()), ("api", API.as_slice())] {
        let source = Source::of(name);
        let rank = |module: &Module| {
            let wing = module.first().map_or("main", String::as_str);
            let rank = order.iter().position(|known| *known == wing);
            rank.unwrap_or_else(|| panic!("{name} has a wing that nobody has ranked: {wing}"))
        };
        let wrong: Vec<String> = source
            .arrows
            .iter()
            .filter(|(from, to)| rank(from) < rank(to))
            .map(|(from, to)| format!("{} uses {}", from.join("::"), to.join("::")))
            .collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}

#[test]
fn the_table_of_wings_is_in_this_order() {
    let page = include_str!("../../ARCHITECTURE.md");
    let (_, table) = page.split_once("| wing | holds |\n").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let mut wings = Vec::new();
    // From the top down; wings that stand in one row may be in any order.
    for row in table.lines().skip(1) {
        let names = row.split(" | ").next().unwrap();
        wings.extend(names.split('`').skip(1).step_by(2));
    }
    wings.reverse();
    let table: BTreeSet<&str> = wings.iter().copied().collect();
    assert_eq!(table, BTreeSet::from(DOMAIN));
    let below: Vec<&str> = wings
        .into_iter()
        .filter(|wing| !["verify", "demo"].contains(wing))
        .collect();
    assert_eq!(below.as_slice(), &DOMAIN[..11]);
}

#[test]
fn no_modules_form_a_circle() {
    let mut circles = Vec::new();
    for name in ["domain", "api"] {
        let mut levels: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (from, to) in &Source::of(name).arrows {
            let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
            // One of the two contains the other, which is no dependency between siblings.
            let (Some(a), Some(b)) = (from.get(common), to.get(common)) else {
                continue;
            };
            let level = levels.entry(from.iter().take(common).cloned().collect());
            let uses = level.or_default().entry(a.clone()).or_default();
            uses.insert(b.clone());
        }
        for (level, uses) in &levels {
            if let Some(circle) = circle(uses) {
                circles.push(format!(
                    "{name}::{}: {}",
                    level.join("::"),
                    circle.join(" -> ")
                ));
            }
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_raw_statement_says_why_it_is_raw() {
    let mut silent = Vec::new();
    let mut reasons = 0;
    for path in files(&source_folder("domain")) {
        // The checks of all books are raw throughout, and the builder of rows makes the text of its statements.
        let made = ["verify/", "foundation/rows.rs"];
        if made
            .iter()
            .any(|made| path.to_str().unwrap().contains(made))
        {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = source
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"))
            .collect();
        for (index, line) in lines.iter().enumerate() {
            let first = index > 0 && lines[index - 1].ends_with('"');
            if !begins_statement(line, first) {
                continue;
            }
            let is_item = |line: &&str| line.starts_with(char::is_lowercase);
            let item = lines[..=index].iter().rposition(is_item).unwrap();
            let doc = lines[..item].iter().rev();
            let mut doc = doc.take_while(|line| line.starts_with("///"));
            if doc.any(|line| line.to_lowercase().contains("raw")) {
                reasons += 1;
            } else {
                silent.push(format!("{}:{}", path.display(), index + 1));
            }
        }
    }
    assert_eq!(
        silent,
        Vec::<String>::new(),
        "no \"Raw: …\" in their comments"
    );
    assert!(reasons > 20, "the statements are found: {reasons}");
}

/// Whether a statement of SQL begins in this line: at its start, if it is the first line of a text, or after a quote. A
/// text without a table, such as `SELECT 1`, is none.
fn begins_statement(line: &str, is_first: bool) -> bool {
    let verbs = [
        "SELECT ",
        "WITH ",
        "INSERT INTO ",
        "UPDATE ",
        "DELETE FROM ",
    ];
    verbs.iter().any(|verb| {
        let starts = is_first && line.trim_start_matches('(').starts_with(verb);
        starts || line.contains(&format!("\"{verb}")) && line.contains(" FROM ")
    })
}

/// Guards against a parser that finds no dependency at all and lets the other tests pass.
#[test]
fn existing_uses_are_found() {
    let source = Source::of("domain");
    let uses = |from: &str, to: &str| {
        let module = |text: &str| text.split("::").map(str::to_owned).collect::<Module>();
        source.arrows.contains(&(module(from), module(to)))
    };
    // One example each: a `use` line, a re-export, a path in the code, and `super`.
    assert!(uses("receivables::payments", "receivables::accounts"));
    assert!(uses("receivables::payments", "foundation::caller"));
    assert!(uses("identity::login", "identity::users"));
    assert!(uses("desk::lanes", "desk::queues"));
    let uses = |pairs: &[(&str, &str)]| -> BTreeMap<String, BTreeSet<String>> {
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            uses.entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        uses
    };
    assert_eq!(circle(&uses(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let found = circle(&uses(&[("a", "b"), ("b", "c"), ("c", "a")])).unwrap();
    assert_eq!(found.len(), 4);
}

/// Returns a cycle if there is one; its first member is repeated at the end.
fn circle(uses: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk<'a>(
        at: &'a str,
        uses: &'a BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|seen| *seen == at) {
            let circle = way.iter().skip(start).chain([&at]);
            return Some(circle.map(|name| (*name).to_owned()).collect());
        }
        if !done.insert(at) {
            return None;
        }
        way.push(at);
        let found = uses
            .get(at)
            .into_iter()
            .flatten()
            .find_map(|next| walk(next, uses, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    uses.keys()
        .find_map(|start| walk(start, uses, &mut Vec::new(), &mut done))
}

/// The path of a module from the crate's root. Empty for the root.
type Module = Vec<String>;

/// The dependencies between a crate's modules, as pairs of user and used.
struct Source {
    arrows: BTreeSet<(Module, Module)>,
}

impl Source {
    fn of(name: &str) -> Self {
        let root = source_folder(name);
        let mut read = BTreeMap::new();
        for path in files(&root) {
            let module = module_of(path.strip_prefix(&root).unwrap());
            let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
            let mut names = Names::default();
            names.visit_file(&file);
            read.insert(module, names);
        }
        let resolver = Resolver { modules: &read };
        let mut arrows = BTreeSet::new();
        for (module, names) in read.iter().filter(|(module, _)| !module.is_empty()) {
            for path in &names.paths {
                if let Some(used) = resolver.module_of(module, path, 0)
                    && used != *module
                    && !used.is_empty()
                {
                    arrows.insert((module.clone(), used));
                }
            }
        }
        assert!(arrows.len() > 100, "{name}: {} arrows", arrows.len());
        Self { arrows }
    }
}

fn source_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(name)
        .join("src")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            all.push(path);
        }
    }
    all
}

fn module_of(path: &Path) -> Module {
    let path = path.with_extension("");
    let mut parts: Module = path
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if parts
        .last()
        .is_some_and(|last| ["mod", "lib"].contains(&last.as_str()))
    {
        parts.pop();
    }
    parts
}

/// The names in one source file.
#[derive(Default)]
struct Names {
    /// Paths that the file uses.
    paths: BTreeSet<Vec<String>>,
    /// Names that the file re-exports, with the paths that they stand for.
    reexports: BTreeMap<String, Vec<String>>,
}

impl Visit<'_> for Names {
    fn visit_item_mod(&mut self, item: &ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        if is_test(&item.attrs) {
            return;
        }
        let mut leaves = Vec::new();
        expand(&item.tree, &mut Vec::new(), &mut leaves);
        for (path, name) in leaves {
            // A re-export is no use of the path by the module itself.
            if matches!(item.vis, Visibility::Inherited) {
                self.paths.insert(path);
            } else {
                self.reexports.insert(name, path);
            }
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let parts: Vec<String> = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        if parts.len() > 1 {
            self.paths.insert(parts);
        }
        visit::visit_path(self, path);
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is_cfg = |one: &&Attribute| one.path().is_ident("cfg");
    attributes
        .iter()
        .filter(is_cfg)
        .any(|one| one.parse_args::<syn::Ident>().is_ok_and(|is| is == "test"))
}

/// Collects the leaves of a `use` tree: each path, and the name under which the file knows it.
fn expand(tree: &UseTree, before: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, String)>) {
    let mut leaf = |name: String, alias: String| {
        let mut path = before.clone();
        if name != "self" {
            path.push(name);
        }
        leaves.push((path, alias));
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            expand(&path.tree, before, leaves);
            before.pop();
        }
        UseTree::Name(name) => {
            let own = name.ident.to_string();
            let alias = match own.as_str() {
                "self" => before.last().cloned().unwrap_or_default(),
                _ => own.clone(),
            };
            leaf(own, alias);
        }
        UseTree::Rename(rename) => leaf(rename.ident.to_string(), rename.rename.to_string()),
        UseTree::Glob(_) => leaf("self".to_owned(), "*".to_owned()),
        UseTree::Group(group) => {
            for tree in &group.items {
                expand(tree, before, leaves);
            }
        }
    }
}

struct Resolver<'a> {
    modules: &'a BTreeMap<Module, Names>,
}

impl Resolver<'_> {
    /// The module that a path in the module `here` leads to. `None` for a path of another crate.
    fn module_of(&self, here: &Module, path: &[String], depth: u32) -> Option<Module> {
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (Module::new(), path.get(1..)?),
            "self" => (here.clone(), path.get(1..)?),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let kept = here.len().checked_sub(ups)?;
                (here.iter().take(kept).cloned().collect(), path.get(ups..)?)
            }
            first => {
                // The bare name of a child of this module.
                let mut child = here.clone();
                child.push(first.to_owned());
                self.modules.get(&child)?;
                (here.clone(), path)
            }
        };
        while let Some((next, after)) = rest.split_first() {
            let mut child = at.clone();
            child.push(next.clone());
            if self.modules.contains_key(&child) {
                (at, rest) = (child, after);
                continue;
            }
            let given_on = self.modules.get(&at)?.reexports.get(next);
            return match given_on {
                Some(path) if depth < 8 => {
                    let path: Vec<String> = path.iter().chain(after).cloned().collect();
                    self.module_of(&at, &path, depth + 1).or(Some(at))
                }
                _ => Some(at),
            };
        }
        Some(at)
    }
}
