//! The table of DNSSEC rules is complete, and every test it names exists.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

/// Numbers of the rules; the gaps separate their groups.
const NUMBERS: [RangeInclusive<u16>; 9] =
    [1..=19, 20..=36, 40..=54, 60..=68, 70..=89, 100..=119, 120..=130, 140..=147, 150..=174];
/// Rules that are open. This only ever becomes less.
const OPEN: usize = 21;

#[test]
fn every_rule_is_there_and_its_test_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("docs/dnssec-rules.md")).unwrap();
    let rows: Vec<Vec<&str>> = document
        .lines()
        .filter(|line| line.starts_with("| V"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let numbers: Vec<u16> = rows.iter().map(|row| row[0][1..].parse().unwrap()).collect();
    let expected: Vec<u16> = NUMBERS.into_iter().flatten().collect();
    assert_eq!(numbers, expected, "each rule once, in order");

    let tests = tests(&[&root.join("src"), &root.join("tests")]);
    let mut open = 0;
    for row in &rows {
        let [rule, _, what, test] = row[..] else { panic!("{row:?}") };
        assert!(what.ends_with('.'), "{rule}: a sentence");
        match test {
            "*open*" => open += 1,
            test => assert!(tests.contains(test.trim_matches('`')), "{rule}: no test {test}"),
        }
    }
    assert_eq!(open, OPEN, "rules that are open");
}

/// Names of all functions marked as tests below these directories.
fn tests(directories: &[&Path]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut left: Vec<_> = directories.iter().map(|path| path.to_path_buf()).collect();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for part in text.split("#[test]").skip(1) {
            let name = part.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
            names.extend(name.map(|(name, _)| name.to_owned()));
        }
    }
    names
}
