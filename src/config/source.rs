//! The files that were read, and places in them.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes `start` to `end` of one file.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Span {
    file: usize,
    start: usize,
    end: usize,
}

impl Span {
    /// The bytes `range` of the file with number `file`.
    pub(super) fn new(file: usize, range: Range<usize>) -> Self {
        Self { file, start: range.start, end: range.end }
    }

    /// The bytes, counted from 0.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// A place to point people at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// Every file that was read, in order.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

#[derive(Clone, Debug)]
struct Source {
    path: PathBuf,
    text: Arc<[u8]>,
}

impl Sources {
    /// Adds a file; what it returns is the number of the file in [`Span::new`].
    pub(super) fn add(&mut self, path: &Path, text: Vec<u8>) -> (usize, Arc<[u8]>) {
        let text: Arc<[u8]> = text.into();
        self.files.push(Source { path: path.to_owned(), text: Arc::clone(&text) });
        (self.files.len() - 1, text)
    }

    /// Whether `span` lies in one of the files.
    pub fn contains(&self, span: Span) -> bool {
        self.files
            .get(span.file)
            .is_some_and(|file| span.start <= span.end && span.end <= file.text.len())
    }

    /// The file of `span`; empty for a span of other [`Sources`].
    pub(super) fn path(&self, span: Span) -> &Path {
        self.files.get(span.file).map(|file| &*file.path).unwrap_or_else(|| Path::new(""))
    }

    /// Where `span` begins.
    pub fn place(&self, span: Span) -> Place {
        let (line, head) = self.line_of(span);
        let column = String::from_utf8_lossy(head).chars().count() + 1;
        Place { path: self.path(span).to_owned(), line, column }
    }

    /// The number of the line `span` begins in, and what stands before it there.
    fn line_of(&self, span: Span) -> (usize, &[u8]) {
        let before = self
            .files
            .get(span.file)
            .and_then(|file| file.text.get(..span.start))
            .unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let from = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        (line, before.get(from..).unwrap_or_default())
    }

    /// Writes the line `span` begins in, and carets below it:
    ///
    /// ```text
    ///   12 |     port: ninety
    ///      |           ^^^^^^
    /// ```
    pub(super) fn quote(&self, span: Span, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(file) = self.files.get(span.file) else { return Ok(()) };
        let (number, head) = self.line_of(span);
        let rest = file.text.get(span.start..).unwrap_or_default();
        let rest = rest.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
        let marked = rest.get(..span.end.saturating_sub(span.start)).unwrap_or(rest);

        let head = printable(head);
        // Tabs are kept, so that the carets stand below what they mean at any tab width.
        let pad: String = head.chars().map(|c| if c == '\t' { c } else { ' ' }).collect();
        let carets = printable(marked).chars().count().max(1);
        writeln!(f, "{number:>5} | {head}{}", printable(rest))?;
        writeln!(f, "      | {pad}{}", "^".repeat(carets))
    }
}

/// Text that cannot do anything to a terminal.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let mut sources = Sources::default();
        let (file, _) = sources.add(Path::new("a"), "one\n\ttwö three\n".into());
        for (start, line, column) in [(0, 1, 1), (3, 1, 4), (4, 2, 1), (5, 2, 2), (10, 2, 6)] {
            let place = sources.place(Span::new(file, start..start + 1));
            assert_eq!((place.line, place.column), (line, column), "{start}");
        }
    }
}
