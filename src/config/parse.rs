//! From files to a draft: clauses, options, includes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::draft::Draft;
use super::error::{Error, ErrorKind};
use super::lexer::{Head, Lexer, Value};
use super::notice::{Ignored, NoticeKind};
use super::settings::Settings;
use super::source::{Sources, Span};
use super::table::{self, Clause, Directive};

/// Deeper includes are a mistake; Unbound stops at about the same depth.
const MAX_DEPTH: usize = 16;
/// After so many mistakes the file is something else.
const MAX_ERRORS: usize = 100;

/// Reads files, and collects what they say and what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Parser {
    pub(super) sources: Sources,
    pub(super) errors: Vec<Error>,
    pub(super) draft: Draft,
    pub(super) settings: Settings,
    pub(super) ignored: Vec<Ignored>,
    pub(super) notices: Vec<(Option<Span>, NoticeKind)>,
    /// Where relative paths start before `directory:` was read.
    home: PathBuf,
    /// Every file that was read or looked for, and patterns for them.
    pub(super) looked_for: Vec<PathBuf>,
    clause: Option<Clause>,
    /// The files being read, from the outermost in.
    open: Vec<PathBuf>,
}

impl Parser {
    /// Reads the file that was asked for; relative paths in it start at its directory.
    pub(super) fn main_file(&mut self, path: &Path) {
        self.home = parent(path);
        self.file(path, None);
    }

    /// Reads `text` as if it were that file.
    pub(super) fn main_text(&mut self, path: &Path, text: Vec<u8>) {
        self.home = parent(path);
        self.text(path, text);
    }

    fn text(&mut self, path: &Path, text: Vec<u8>) {
        let (file, text) = self.sources.add(path, text);
        let mut lexer = Lexer::new(file, text);
        while self.errors.len() < MAX_ERRORS {
            match lexer.head() {
                Head::End => break,
                Head::Name(name, span) => self.named(&name, span, &mut lexer),
                Head::Stray(word, span, _) => {
                    let known = table::is_known(&word);
                    self.error(span, ErrorKind::Stray { word, known });
                    lexer.skip_line();
                }
            }
        }
    }

    /// Notes a mistake at `span`.
    pub(super) fn error(&mut self, span: Span, kind: ErrorKind) {
        self.errors.push(Error { span: Some(span), kind });
    }

    /// What relative paths are relative to, here and now.
    pub(super) fn base(&self) -> &Path {
        self.draft.directory.as_deref().unwrap_or(&self.home)
    }

    /// The file that `path` names: relative to [`Self::base`], and below `chroot:` when it is only
    /// to be found there, since Unbound takes paths of both kinds.
    pub(super) fn locate(&self, path: &str) -> PathBuf {
        let path = Path::new(path);
        let plain = self.base().join(path);
        let Some(root) = self.draft.chroot.as_deref() else { return plain };
        match path.strip_prefix("/") {
            Ok(below) if !path.starts_with(root) && !plain.exists() => root.join(below),
            _ => plain,
        }
    }

    /// Reads a file named at `span` and remembers it for error messages.
    pub(super) fn read(&mut self, path: &Path, span: Option<Span>) -> Option<Vec<u8>> {
        self.looked_for.push(path.to_owned());
        match fs::read(path) {
            Ok(text) => Some(text),
            Err(error) => {
                self.unreadable(path, error, span);
                None
            }
        }
    }

    fn unreadable(&mut self, path: &Path, error: io::Error, span: Option<Span>) {
        let kind = ErrorKind::Unreadable { path: path.to_owned(), source: Arc::new(error) };
        self.errors.push(Error { span, kind });
    }

    /// Reads a file of options, named at `span`.
    fn file(&mut self, path: &Path, span: Option<Span>) {
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) => return self.unreadable(path, error, span),
        };
        if self.open.contains(&real) {
            let kind = ErrorKind::IncludeLoop { path: path.to_owned() };
            return self.errors.push(Error { span, kind });
        }
        if self.open.len() >= MAX_DEPTH {
            let kind = ErrorKind::IncludeDepth { max: MAX_DEPTH };
            return self.errors.push(Error { span, kind });
        }
        if let Some(text) = self.read(path, span) {
            self.open.push(real);
            self.text(path, text);
            self.open.pop();
        }
    }

    /// A name with a colon was read: a clause, an include or an option.
    fn named(&mut self, name: &str, span: Span, lexer: &mut Lexer) {
        if let Some(clause) = Clause::named(name) {
            self.clause = Some(clause);
            return self.draft.begin(clause, span);
        }
        match name {
            "include" => self.include(false, lexer),
            "include-toplevel" => self.include(true, lexer),
            _ => self.option(name, span, lexer),
        }
    }

    fn include(&mut self, toplevel: bool, lexer: &mut Lexer) {
        let here = lexer.here();
        let value = match lexer.value() {
            Ok(Some(value)) if !value.text.is_empty() => value,
            Ok(value) => {
                let span = value.map_or(here, |value| value.span);
                return self.error(span, ErrorKind::EmptyFileName);
            }
            Err((span, kind)) => {
                lexer.skip_line();
                return self.error(span, kind);
            }
        };
        for path in self.matching(&value) {
            if toplevel {
                self.clause = None;
            }
            self.file(&path, Some(value.span));
        }
        if toplevel {
            self.clause = None;
        }
    }

    /// The files that a pattern stands for, in order. A pattern may match nothing; a plain path is
    /// returned whether it exists or not.
    pub(super) fn matching(&mut self, pattern: &Value) -> Vec<PathBuf> {
        let path = self.locate(&pattern.text);
        if !pattern.text.contains(['*', '?', '[']) {
            return vec![path];
        }
        self.looked_for.push(path.clone());
        let options =
            glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
        let found = match glob::glob_with(&path.to_string_lossy(), options) {
            Ok(found) => found,
            Err(error) => {
                let kind = ErrorKind::IncludePattern { message: error.msg };
                self.error(pattern.span, kind);
                return Vec::new();
            }
        };
        let mut files = Vec::new();
        for entry in found {
            match entry {
                Ok(file) => files.push(file),
                Err(error) => {
                    let path = error.path().to_owned();
                    self.unreadable(&path, error.into(), Some(pattern.span));
                }
            }
        }
        files
    }

    fn option(&mut self, name: &str, span: Span, lexer: &mut Lexer) {
        let row = self.clause.and_then(|clause| table::find(clause, name));
        let Some(row) = row else {
            self.error(span, self.why_not_here(name));
            return lexer.skip_line();
        };
        let Some(values) = self.values(row, span, lexer) else { return };
        match row.apply(&mut self.draft, &values) {
            Ok(shown) => {
                Ignored::note(&mut self.ignored, row, &shown, span);
                self.settings.record(row, shown, span);
            }
            Err((index, error)) => {
                let at = values.get(index).map_or(span, |value| value.span);
                self.error(at, ErrorKind::BadValue { option: row.name, error });
            }
        }
        self.nothing_more(row, lexer);
    }

    /// Why `name` is no option of the clause we are in.
    fn why_not_here(&self, name: &str) -> ErrorKind {
        let belongs = table::clauses_with(name);
        let name = name.to_owned();
        match self.clause {
            None => ErrorKind::NoClause { name, belongs },
            Some(clause) if !belongs.is_empty() => ErrorKind::WrongClause { name, clause, belongs },
            Some(_) => {
                let nearest = table::nearest_name(self.clause, &name);
                ErrorKind::UnknownOption { name, nearest }
            }
        }
    }

    /// As many values as the option takes; none when there are fewer.
    fn values(&mut self, row: &Directive, span: Span, lexer: &mut Lexer) -> Option<Vec<Value>> {
        let missing =
            || ErrorKind::MissingValue { option: row.name, expects: row.shape.to_string() };
        let mut values: Vec<Value> = Vec::with_capacity(row.shape.arity());
        while values.len() < row.shape.arity() {
            match lexer.value() {
                Ok(Some(value)) if is_next_option(&value) => {
                    lexer.back_to(value.span);
                    self.error(span, missing());
                    return None;
                }
                Ok(Some(value)) => values.push(value),
                Ok(None) => {
                    self.error(span, missing());
                    return None;
                }
                Err((at, kind)) => {
                    self.error(at, kind);
                    lexer.skip_line();
                    return None;
                }
            }
        }
        Some(values)
    }

    /// Complains about words behind the last value, on the same line.
    fn nothing_more(&mut self, row: &Directive, lexer: &mut Lexer) {
        let here = lexer.here();
        if let Head::Stray(_, span, true) = lexer.head() {
            let takes = row.shape.arity();
            self.error(span, ErrorKind::ExtraValue { option: row.name, takes });
            lexer.skip_line();
        } else {
            lexer.back_to(here);
        }
    }
}

/// A value is rather the next option: it stands on a line of its own and ends with a colon.
fn is_next_option(value: &Value) -> bool {
    let name = value.text.strip_suffix(':');
    value.on_new_line && !value.quoted && name.is_some_and(table::is_known)
}

/// The directory of `path`; empty, which is the working directory, when it names none.
fn parent(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}
