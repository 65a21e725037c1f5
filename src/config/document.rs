//! The options as a document for people, rendered from their table.

use std::fmt::Write;

use super::table::{Clause, Directive, Status, directives};

/// Every option of every clause in Markdown: values, default, what it does, and how much of it.
pub fn options_document() -> String {
    let count = |f: fn(&Status) -> bool| directives().filter(|row| f(&row.status)).count();
    let all = directives().count();
    let whole = count(|status| *status == Status::Implemented);
    let partly = count(|status| matches!(status, Status::Partly { .. }));
    let none = all - whole - partly;
    let mut out = format!(
        "# Options\n\n\
         The options of `unbound.conf`, clause by clause, and what each does here. Rendered from the \
         table that the parser reads; do not edit.\n\n\
         Of {all} options {whole} do what they say, {partly} do so in part, and {none} are accepted \
         without effect, so that an existing file loads. Whoever uses one of the latter two in a \
         way that should matter is told in the log.\n"
    );
    for (name, clause) in Clause::NAMES {
        let _ = write!(
            out,
            "\n## {name}:\n\n| option | values | default | what it does |\n|---|---|---|---|\n"
        );
        for row in directives().filter(|row| row.clause == *clause) {
            line(&mut out, row);
        }
    }
    out
}

fn line(out: &mut String, row: &Directive) {
    let Directive { name, shape, default, help, .. } = row;
    let default = match (row.list, default.is_empty()) {
        (true, _) => "may be given many times".to_owned(),
        (false, true) => "none".to_owned(),
        (false, false) => format!("`{default}`"),
    };
    let status = match row.status {
        Status::Implemented => String::new(),
        Status::Partly { why } => format!(" **In part**: {why}."),
        Status::Ignored { why, .. } => format!(" **No effect**{}.", reason(why)),
    };
    let (shape, help) = (cell(&shape.to_string()), cell(help));
    // Writing to a String cannot fail.
    let _ = writeln!(out, "| `{name}` | {shape} | {default} | {help}{} |", cell(&status));
}

/// What comes behind "has no effect".
fn reason(why: &str) -> &str {
    why.strip_prefix("has no effect").unwrap_or(why)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_a_line_that_says_whether_it_works() {
        let document = options_document();
        for row in directives() {
            let begin = format!("| `{}` | ", row.name);
            let lines = document.lines().filter(|line| line.starts_with(&begin));
            let expected = directives().filter(|other| other.name == row.name).count();
            assert_eq!(lines.count(), expected, "{}", row.name);
        }
        for (option, expected) in [
            ("prefetch", "Refresh popular answers before they expire. |"),
            ("sock-queue-timeout", "**No effect** yet. |"),
            ("tls-ciphers", "**No effect** yet: TLS is not supported"),
        ] {
            let begin = format!("| `{option}` | ");
            let line = document.lines().find(|line| line.starts_with(&begin)).unwrap_or_default();
            assert!(line.contains(expected), "{line}");
        }
        assert!(
            document.lines().all(|line| !line.starts_with('|') || line.matches('|').count() >= 5)
        );
    }
}
