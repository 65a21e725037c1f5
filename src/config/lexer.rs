//! The words of unbound.conf.
//!
//! The language has two states. Outside of values a word is a name followed by a colon. Behind an
//! option, as many values follow as it takes, each a quoted or an unquoted word, on the same line
//! or on later ones. `#` begins a comment wherever a word could begin. A backslash keeps the next
//! character from ending a word and stays part of the value, so that escapes in names and records
//! come through.

use std::sync::Arc;

use super::error::ErrorKind;
use super::source::Span;

/// A value as it stands in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Value {
    /// Without its quotes.
    pub(super) text: String,
    /// Without its quotes.
    pub(super) span: Span,
    /// Whether there were any.
    pub(super) quoted: bool,
    /// Whether a line ended between this and the word before.
    pub(super) on_new_line: bool,
}

/// What can stand where an option is expected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Head {
    /// A word with a colon behind it.
    Name(String, Span),
    /// Anything else, with whether it stands on the line of what came before.
    Stray(String, Span, bool),
    /// The file is over.
    End,
}

/// Reads one file from front to back.
pub(super) struct Lexer {
    file: usize,
    text: Arc<[u8]>,
    at: usize,
}

impl Lexer {
    /// Reads `text`, which is the file with number `file`.
    pub(super) fn new(file: usize, text: Arc<[u8]>) -> Self {
        // Editors of some systems put a byte order mark before UTF-8.
        let at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { file, text, at }
    }

    /// The next word, where an option is expected.
    pub(super) fn head(&mut self) -> Head {
        let on_new_line = self.skip_blank();
        let start = self.at;
        let Some(first) = self.peek() else { return Head::End };
        while self.peek().is_some_and(|byte| !is_blank(byte) && !matches!(byte, b':' | b'"')) {
            self.at += 1;
        }
        let span = self.span(start, self.at);
        if self.at > start && self.peek() == Some(b':') {
            self.at += 1;
            return Head::Name(self.lossy(span), span);
        }
        if matches!(first, b':' | b'"') {
            self.at = start + 1;
            return Head::Stray(
                char::from(first).to_string(),
                self.span(start, self.at),
                !on_new_line,
            );
        }
        Head::Stray(self.lossy(span), span, !on_new_line)
    }

    /// The next value; none at the end of the file.
    pub(super) fn value(&mut self) -> Result<Option<Value>, (Span, ErrorKind)> {
        let on_new_line = self.skip_blank();
        let Some(first) = self.peek() else { return Ok(None) };
        let quoted = matches!(first, b'"' | b'\'');
        let span = if quoted { self.quoted(first)? } else { self.unquoted() };
        match std::str::from_utf8(self.text.get(span.range()).unwrap_or_default()) {
            Ok(text) => Ok(Some(Value { text: text.to_owned(), span, quoted, on_new_line })),
            Err(_) => Err((span, ErrorKind::NotUtf8)),
        }
    }

    /// Where the lexer is, and nothing of it.
    pub(super) fn here(&self) -> Span {
        self.span(self.at, self.at)
    }

    /// Puts the lexer back to where `span` begins.
    pub(super) fn back_to(&mut self, span: Span) {
        self.at = span.range().start;
    }

    /// Goes to the end of the line, so that one mistake is reported once.
    pub(super) fn skip_line(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<Span, (Span, ErrorKind)> {
        let open = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(byte) if byte == quote => {
                    let span = self.span(open + 1, self.at);
                    self.at += 1;
                    return Ok(span);
                }
                None | Some(b'\n' | b'\r') => {
                    let span = self.span(open, self.at);
                    return Err((span, ErrorKind::OpenQuote { quote: char::from(quote) }));
                }
                Some(b'\\') => self.escape(),
                Some(_) => self.at += 1,
            }
        }
    }

    fn unquoted(&mut self) -> Span {
        let start = self.at;
        while let Some(byte) = self.peek().filter(|byte| !is_blank(*byte) && *byte != b'"') {
            if byte == b'\\' { self.escape() } else { self.at += 1 }
        }
        self.span(start, self.at)
    }

    /// Takes a backslash, and what it protects unless that is the end of the line.
    fn escape(&mut self) {
        self.at += 1;
        if self.peek().is_some_and(|byte| !matches!(byte, b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Passes spaces, line ends and comments; says whether a line ended.
    fn skip_blank(&mut self) -> bool {
        let mut on_new_line = self.at == 0;
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => on_new_line = true,
                b'#' => {
                    self.skip_line();
                    continue;
                }
                _ if is_blank(byte) => {}
                _ => break,
            }
            self.at += 1;
        }
        on_new_line
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start..end)
    }

    fn lossy(&self, span: Span) -> String {
        String::from_utf8_lossy(self.text.get(span.range()).unwrap_or_default()).into_owned()
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexer(text: &str) -> Lexer {
        Lexer::new(0, text.as_bytes().into())
    }

    #[test]
    fn values_are_quoted_unquoted_and_commented() {
        for (text, want) in [
            ("53", Some("53")),
            (" \t53 # standard", Some("53")),
            ("\"\"", Some("")),
            ("''", Some("")),
            ("\"a 'b' # c\"", Some("a 'b' # c")),
            ("'TXT \"x\"'", Some("TXT \"x\"")),
            ("192.0.2.1@853#name.example", Some("192.0.2.1@853#name.example")),
            ("\n  # comment\n 53", Some("53")),
            ("it's", Some("it's")),
            (r"a\ b", Some(r"a\ b")),
            (r#""say \"hi\"""#, Some(r#"say \"hi\""#)),
            ("a\"b\"", Some("a")),
            ("a\\\nb", Some("a\\")),
            ("# only a comment", None),
            ("", None),
        ] {
            let got = lexer(text).value().expect(text).map(|value| value.text);
            assert_eq!(got.as_deref(), want, "{text}");
        }
    }

    #[test]
    fn quotes_end_on_their_line() {
        for text in ["\"open", "'open\n'", "\"a\\", "\"a\\\n\""] {
            let (span, kind) = lexer(text).value().expect_err(text);
            assert!(matches!(kind, ErrorKind::OpenQuote { .. }), "{text}: {kind}");
            assert!(span.range().end <= text.len());
        }
    }

    #[test]
    fn heads_are_names_or_strays() {
        let mut lexer = lexer("server: # here\n verbosity:1 x y: :");
        let mut seen = Vec::new();
        loop {
            match lexer.head() {
                Head::Name(name, _) => seen.push(format!("{name}:")),
                Head::Stray(word, _, same_line) => seen.push(format!("{word} {same_line}")),
                Head::End => break,
            }
        }
        assert_eq!(seen, ["server:", "verbosity:", "1 true", "x true", "y:", ": true"]);
    }
}
