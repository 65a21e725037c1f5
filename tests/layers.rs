//! The shape of the source, enforced: the layer diagram of `src/lib.rs`, where `unsafe` may be, how long a file may be.
//!
//! The diagram is read from the doc comment itself, so that it cannot disagree with what is tested. Comments and
//! literals are stripped first: doc links may point up. Test modules are held to the same rules as the rest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The only files that may say `unsafe`: the cache's mapping with the handler that marks it as damaged, and the two ends
/// of descriptor passing.
const UNSAFE: &[&str] =
    &["cache/fault.rs", "cache/memory.rs", "egress/descriptors.rs", "systemd/descriptors.rs"];

/// Below the line of the diagram, and yet at the edge: they wrap descriptors that somebody passed.
const EDGE: &[&str] = &["egress", "systemd"];

/// Longer files want splitting.
const LONGEST_FILE: usize = 600;

#[test]
fn modules_look_only_down() {
    let diagram = Diagram::read();
    let mut offenses = Vec::new();
    for source in sources() {
        let Some(module) = source.module() else { continue };
        let mine = diagram.row_of(&module).unwrap_or_else(|| panic!("{module} has no row"));
        for used in source.modules_named() {
            let below = diagram.row_of(&used).is_some_and(|row| row < mine);
            if used != module && !below {
                offenses.push(format!("{}: {module} uses {used}", source.name));
            }
        }
    }
    assert!(offenses.is_empty(), "\n{}", offenses.join("\n"));
}

#[test]
fn every_module_has_exactly_one_row() {
    let diagram = Diagram::read();
    let root = Source::open(&source_root(), "lib.rs");
    let mut declared: Vec<_> =
        root.tokens.windows(2).filter(|w| w[0] == "mod").map(|w| w[1].clone()).collect();
    let mut drawn: Vec<_> = diagram.rows.values().flatten().cloned().collect();
    declared.sort();
    drawn.sort();
    assert_eq!(declared, drawn, "modules declared in lib.rs, and modules in its diagram");
}

#[test]
fn nothing_below_the_line_is_async() {
    let diagram = Diagram::read();
    let pure = |m: &str| diagram.row_of(m).is_some_and(|row| row < diagram.line);
    let offenses: Vec<_> = sources()
        .into_iter()
        .filter(|s| s.module().is_some_and(|m| pure(&m) && !EDGE.contains(&m.as_str())))
        .filter(|s| s.tokens.iter().any(|t| matches!(t.as_str(), "tokio" | "async" | "await")))
        .map(|s| s.name)
        .collect();
    assert!(offenses.is_empty(), "async below the line: {}", offenses.join(", "));
}

#[test]
fn unsafe_is_where_it_is_expected() {
    let offenses: Vec<_> = sources()
        .into_iter()
        .filter(|s| s.tokens.iter().any(|t| t == "unsafe") && !UNSAFE.contains(&s.name.as_str()))
        .map(|s| s.name)
        .collect();
    assert!(offenses.is_empty(), "unsafe in {}", offenses.join(", "));
}

#[test]
fn files_are_short() {
    let offenses: Vec<_> = sources()
        .into_iter()
        .filter(|s| s.lines > LONGEST_FILE)
        .map(|s| format!("{}: {} lines", s.name, s.lines))
        .collect();
    assert!(offenses.is_empty(), "\n{}", offenses.join("\n"));
}

#[test]
fn tokens_leave_out_comments_and_literals() {
    #[rustfmt::skip]
    let cases: &[(&str, &str, &[&str])] = &[
        ("line comment",    "a // crate::b\nc",            &["a", "c"]),
        ("nested comment",  "a /* b /* c */ d */ e",       &["a", "e"]),
        ("string",          r#"a "crate::b \" c" d"#,      &["a", "d"]),
        ("raw string",      "a r#\"b \" c\"# d",           &["a", "d"]),
        ("byte string",     r#"a b"c" d"#,                 &["a", "d"]),
        ("character",       r"a 'b' '\'' '{' c",           &["a", "c"]),
        ("lifetime",        "a<'b>",                       &["a", "<", "b", ">"]),
        ("raw identifier",  "r#type x",                    &["type", "x"]),
        ("path",            "crate::a",                    &["crate", "::", "a"]),
    ];
    for (case, text, expected) in cases {
        assert_eq!(tokenize(text), *expected, "{case}");
    }
}

#[test]
fn every_way_to_name_a_module_is_found() {
    #[rustfmt::skip]
    let cases: &[(&str, &str, &str, &[&str])] = &[
        ("plain path",              "a.rs",     "use crate::b::C;",                      &["b"]),
        ("expression",              "a.rs",     "fn f() { crate::b::g() }",              &["b"]),
        ("group",                   "a.rs",     "use crate::{b::{C, D}, e, f::*};",      &["b", "e", "f"]),
        ("macro",                   "a.rs",     "$crate::b::c!()",                       &["b"]),
        ("super of a file",         "a.rs",     "use super::b;",                         &["b"]),
        ("super of a directory",    "a/mod.rs", "use super::b;",                         &["b"]),
        ("super stays inside",      "a/c.rs",   "use super::b;",                         &[]),
        ("twice super",             "a/c.rs",   "use super::super::b;",                  &["b"]),
        ("super in a test module",  "a.rs",     "mod tests { use super::*; }",           &[]),
        ("out of a test module",    "a.rs",     "mod tests { use super::super::b; }",    &["b"]),
        ("after a test module",     "a.rs",     "mod tests { fn f() {} } use super::b;", &["b"]),
        ("super group",             "a.rs",     "use super::{b, c::D};",                 &["b", "c"]),
        ("visibility is no use",    "a.rs",     "pub(crate) fn f() {} pub(super) x",     &[]),
    ];
    for (case, name, text, expected) in cases {
        let source = Source { name: (*name).into(), lines: 1, tokens: tokenize(text) };
        assert_eq!(source.modules_named(), *expected, "{case}");
    }
}

/// The layers as drawn in the documentation of the library.
struct Diagram {
    rows: BTreeMap<u8, Vec<String>>,
    /// Rows below this one are pure.
    line: u8,
}

impl Diagram {
    /// A row is a digit and module names; a wide gap separates them from what they are about.
    fn read() -> Self {
        let text = fs::read_to_string(source_root().join("lib.rs")).expect("lib.rs");
        let mut diagram = Self { rows: BTreeMap::new(), line: 0 };
        let drawing = text.lines().filter_map(|l| l.strip_prefix("//!").map(str::trim));
        let mut above = 0;
        for row in drawing.skip_while(|l| *l != "```text").skip(1).take_while(|l| *l != "```") {
            if row.starts_with('─') {
                diagram.line = above;
            }
            let Some((number, rest)) = row.split_once("  ") else { continue };
            let number = number.parse().expect("a row begins with its number");
            let (modules, _about) = rest.trim().split_once("    ").unwrap_or((rest, ""));
            let names = modules.split_whitespace().filter(|m| *m != "│").map(str::to_owned);
            diagram.rows.insert(number, names.collect());
            above = number;
        }
        assert!(diagram.rows.len() > 5 && diagram.line > 0, "no diagram in lib.rs");
        diagram
    }

    fn row_of(&self, module: &str) -> Option<u8> {
        self.rows.iter().find(|(_, names)| names.iter().any(|n| n == module)).map(|(row, _)| *row)
    }
}

/// One file below `src`, taken apart.
struct Source {
    /// Relative to `src`, with `/`.
    name: String,
    lines: usize,
    tokens: Vec<String>,
}

impl Source {
    fn open(root: &Path, name: &str) -> Self {
        let text = fs::read_to_string(root.join(name)).expect(name);
        Self { name: name.into(), lines: text.lines().count(), tokens: tokenize(&text) }
    }

    /// The top-level module this file belongs to; none for the roots of the library and the programs.
    fn module(&self) -> Option<String> {
        let first = self.name.split('/').next().expect("a path has a first part");
        (first != "bin" && first != "lib.rs").then(|| first.trim_end_matches(".rs").to_owned())
    }

    /// How many modules deep this file is: 1 for `a.rs` and `a/mod.rs`, 2 for `a/b.rs`.
    fn depth(&self) -> usize {
        self.name.split('/').filter(|part| *part != "mod.rs").count()
    }

    /// The top-level modules that this file names, by `crate::` or by enough `super::`.
    fn modules_named(&self) -> Vec<String> {
        let (mut names, mut braces, mut inline) = (Vec::new(), 0, Vec::new());
        let token = |i: usize| self.tokens.get(i).map_or("", String::as_str);
        let mut i = 0;
        while i < self.tokens.len() {
            match token(i) {
                "mod" if token(i + 2) == "{" => inline.push(braces),
                "{" => braces += 1,
                "}" => {
                    braces -= 1;
                    inline.pop_if(|opened_at| *opened_at == braces);
                }
                "crate" if token(i + 1) == "::" => names.extend(self.first_names(i + 2)),
                "super" if token(i + 1) == "::" => {
                    let mut ups = 1;
                    while token(i + 2 * ups) == "super" {
                        ups += 1;
                    }
                    if ups == self.depth() + inline.len() {
                        names.extend(self.first_names(i + 2 * ups));
                    }
                    i += 2 * ups - 1;
                }
                _ => {}
            }
            i += 1;
        }
        names
    }

    /// What follows `crate::`: one name, or the first names of a group.
    fn first_names(&self, start: usize) -> Vec<String> {
        if self.tokens[start] != "{" {
            return vec![self.tokens[start].clone()];
        }
        let (mut names, mut open) = (Vec::new(), 0);
        for (token, before) in self.tokens[start..].iter().zip(&self.tokens[start - 1..]) {
            match token.as_str() {
                "{" => open += 1,
                "}" => open -= 1,
                _ if open == 1 && matches!(before.as_str(), "{" | ",") => names.push(token.clone()),
                _ => {}
            }
            if open == 0 {
                break;
            }
        }
        names
    }
}

/// Every file below `src`.
fn sources() -> Vec<Source> {
    let root = source_root();
    let mut directories = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&root).expect("below src").to_string_lossy();
                found.push(Source::open(&root, &name));
            }
        }
    }
    assert!(found.len() > 10, "looked in the wrong place");
    found
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Identifiers, `::` and single signs; comments and literals are left out.
fn tokenize(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => comment_length(rest),
            '"' => string_length(rest),
            '\'' => character_length(rest),
            '0'..='9' => word_length(rest),
            _ if is_word(first) => {
                let length = word_length(rest);
                let after = &rest[length..];
                match (&rest[..length], after.trim_start_matches('#')) {
                    ("r" | "br" | "cr", quoted) if quoted.starts_with('"') => {
                        length + raw_string_length(after)
                    }
                    ("r", _) if after.starts_with('#') => length + 1,
                    (word, _) => {
                        if !matches!(word, "b" | "c") || !after.starts_with(['"', '\'']) {
                            tokens.push(word.to_owned());
                        }
                        length
                    }
                }
            }
            _ if rest.starts_with("::") => {
                tokens.push("::".into());
                2
            }
            _ => {
                if !first.is_whitespace() {
                    tokens.push(first.into());
                }
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word_length(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

/// Block comments nest.
fn comment_length(text: &str) -> usize {
    let (mut open, mut at) = (0, 0);
    while at < text.len() {
        if text.as_bytes()[at..].starts_with(b"/*") {
            (open, at) = (open + 1, at + 2);
        } else if text.as_bytes()[at..].starts_with(b"*/") {
            (open, at) = (open - 1, at + 2);
        } else {
            at += 1;
        }
        if open == 0 {
            break;
        }
    }
    at
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let closes = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        closes
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// From the number signs of a raw string to its end.
fn raw_string_length(text: &str) -> usize {
    let signs = text.find('"').unwrap_or(0);
    let end = format!("\"{}", &text[..signs]);
    text[signs + 1..].find(&end).map_or(text.len(), |at| signs + 1 + at + end.len())
}

/// A character literal, or only the quote of a lifetime.
fn character_length(text: &str) -> usize {
    let mut inside = text[1..].char_indices();
    match inside.next() {
        Some((_, '\\')) => {
            inside.next();
            text[1..].char_indices().skip(2).find(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 2)
        }
        Some((_, c)) if text[1 + c.len_utf8()..].starts_with('\'') => c.len_utf8() + 2,
        _ => 1,
    }
}
