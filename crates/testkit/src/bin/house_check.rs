//! Checks what no compiler checks: who may depend on whom, which licences come in, how large files grow. `make check` runs it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Our crates, and which of ours each may use in the product.
const LAYERS: [(&str, &[&str]); 7] = [
    ("undertone-core", &[]),
    ("undertone-scoring", &["undertone-core"]),
    ("undertone-store", &["undertone-core"]),
    ("undertone-ui", &["undertone-core"]),
    // The simulator of the demo is part of the program; everything else of it is for tests.
    (
        "undertone",
        &["undertone-core", "undertone-llm-server", "undertone-scoring", "undertone-store", "undertone-ui"],
    ),
    ("undertone-testkit", &[]),
    ("undertone-llm-server", &[]),
];

/// Crates that the pure crates must not reach: runtimes, databases, HTTP.
const IMPURE: [&str; 7] = ["tokio", "axum", "hyper", "reqwest", "sqlx", "sea-orm", "rusqlite"];
/// Crates that must stay pure.
const PURE: [&str; 3] = ["undertone-core", "undertone-scoring", "undertone-ui"];

/// Licences that let users do what ours let them do. One of a dependency's alternatives is enough.
const LICENCES: [&str; 14] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "0BSD",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "Unlicense",
    "CC0-1.0",
    "BSL-1.0",
    // The list of certificate authorities that browsers trust: data, which asks for nothing but its licence's text.
    "CDLA-Permissive-2.0",
];

/// Lines of a source file without its tests: half of all files stay under `MEDIAN`, every one under `HARD`.
const MEDIAN: usize = 200;
const SOFT: usize = 500;
const HARD: usize = 800;

fn main() -> ExitCode {
    let metadata = match MetadataCommand::new().exec() {
        Ok(metadata) => metadata,
        Err(error) => {
            eprintln!("error: cargo metadata: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut problems = layers(&metadata);
    problems.extend(licences(&metadata));
    problems.extend(sizes(metadata.workspace_root.as_std_path()));
    problems.extend(one_program(&metadata));
    for problem in &problems {
        eprintln!("error: {problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The README's first command is `cargo run`, which must know what to run.
fn one_program(metadata: &Metadata) -> Option<String> {
    let packages = metadata.workspace_default_packages();
    let programs: Vec<&str> =
        packages.iter().flat_map(|p| &p.targets).filter(|t| t.is_bin()).map(|t| t.name.as_str()).collect();
    (programs != ["undertone"]).then(|| format!("`cargo run` would have to choose among {programs:?}"))
}

fn layers(metadata: &Metadata) -> Vec<String> {
    let mut problems = Vec::new();
    for package in metadata.workspace_packages() {
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == package.name.as_str()) else {
            problems.push(format!("{}: no layer; add it to LAYERS in house_check.rs", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            let name = dependency.name.as_str();
            if name.starts_with("undertone") && !allowed.contains(&name) {
                problems.push(format!("{} may not depend on {name}: imports only go downward", package.name));
            }
        }
    }
    let reached = reached(metadata);
    for pure in PURE {
        let impure = reached.get(pure).into_iter().flatten().filter(|name| IMPURE.contains(&name.as_str()));
        problems.extend(impure.map(|name| format!("{pure} reaches {name}, and must stay pure")));
    }
    println!("layers: {} crates", metadata.workspace_members.len());
    problems
}

/// For each of our crates everything its product code depends on, near and far.
fn reached(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let Some(resolve) = &metadata.resolve else { return BTreeMap::new() };
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut all = BTreeMap::new();
    for package in metadata.workspace_packages() {
        let mut seen = BTreeSet::new();
        let mut open = vec![&package.id];
        while let Some(id) = open.pop() {
            for dependency in nodes.get(id).into_iter().flat_map(|node| &node.deps) {
                let in_product = dependency.dep_kinds.iter().any(|k| k.kind == DependencyKind::Normal);
                if in_product && seen.insert(metadata[&dependency.pkg].name.to_string()) {
                    open.push(&dependency.pkg);
                }
            }
        }
        all.insert(package.name.to_string(), seen);
    }
    all
}

fn licences(metadata: &Metadata) -> Vec<String> {
    let mut problems = Vec::new();
    for package in &metadata.packages {
        let expression = package.license.as_deref().unwrap_or_default();
        if !is_allowed(expression) {
            problems.push(format!(
                "{} {}: the licence “{expression}” is not on the list",
                package.name, package.version
            ));
        }
    }
    println!("licences: {} packages", metadata.packages.len());
    problems
}

/// Whether an SPDX expression can be met with the licences on the list: all of an AND, one of an OR.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let expression = expression.trim();
    if let Some(parts) = split_outside_parentheses(expression, " AND ") {
        return parts.iter().all(|part| is_allowed(part));
    }
    if let Some(parts) = split_outside_parentheses(expression, " OR ") {
        return parts.iter().any(|part| is_allowed(part));
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => is_allowed(inner),
        None => LICENCES.contains(&expression),
    }
}

/// The parts between `separator` outside parentheses; `None` when it does not stand there.
fn split_outside_parentheses<'e>(expression: &'e str, separator: &str) -> Option<Vec<&'e str>> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (i, c) in expression.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ' ' if depth == 0 && i >= start && expression[i..].starts_with(separator) => {
                parts.push(&expression[start..i]);
                start = i + separator.len();
            }
            _ => {}
        }
    }
    parts.push(expression.get(start..)?);
    (parts.len() > 1).then_some(parts)
}

fn sizes(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    sources(&root.join("crates"), &mut files);
    let mut sizes: Vec<(usize, PathBuf)> = files
        .into_iter()
        .filter_map(|path| Some((code_lines(&std::fs::read_to_string(&path).ok()?), path)))
        .collect();
    sizes.sort();
    let median = sizes.get(sizes.len() / 2).map_or(0, |(lines, _)| *lines);
    println!("sizes: {} files, median {median} lines without tests", sizes.len());
    let mut problems = Vec::new();
    if median > MEDIAN {
        problems.push(format!("half of the source files have more than {median} lines; aim for {MEDIAN}"));
    }
    for (lines, path) in sizes.iter().filter(|(lines, _)| *lines > SOFT) {
        let told = format!("{} has {lines} lines without tests", path.display());
        if *lines > HARD {
            problems.push(format!("{told}; {HARD} is the limit: split it by idea"));
        } else {
            println!("  note: {told}; is it one idea?");
        }
    }
    problems
}

/// Lines before the file's own tests.
fn code_lines(text: &str) -> usize {
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions() {
        for fine in [
            "MIT",
            "MIT OR GPL-3.0",
            "MIT/Apache-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(is_allowed(fine), "{fine}");
        }
        for wrong in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR AGPL-3.0) AND MIT"] {
            assert!(!is_allowed(wrong), "{wrong}");
        }
    }
}
