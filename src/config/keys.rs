//! `trusted-keys { … };` and its successors, as in named.conf.

use std::ops::Range;

use super::anchors::of_key;
use super::zone::TrustAnchor;

/// Where the syntax is broken, and what should stand there.
type Broken = (Range<usize>, &'static str);

/// Statements that hold keys. The last two are from newer versions of BIND.
const STATEMENTS: [&str; 3] = ["trusted-keys", "managed-keys", "trust-anchors"];

/// Words between the name and the numbers, and whether a digest follows instead of a key.
const FORMS: [(&str, bool); 4] =
    [("initial-key", false), ("static-key", false), ("initial-ds", true), ("static-ds", true)];

/// The keys of a file; other statements are passed.
pub(super) fn read(text: &[u8]) -> Result<Vec<TrustAnchor>, Broken> {
    let mut tokens = Tokens { text, at: 0 };
    let mut anchors = Vec::new();
    while let Some(token) = tokens.next()? {
        match token.kind {
            Kind::Word if STATEMENTS.contains(&&*token.text) => {
                tokens.expect(Kind::Open, "'{'")?;
                tokens.keys(&mut anchors)?;
            }
            Kind::Open => tokens.skip_block(token.range)?,
            Kind::Close => return Err((token.range, "a statement")),
            Kind::Word | Kind::Quoted | Kind::End => {}
        }
    }
    Ok(anchors)
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Word,
    Quoted,
    Open,
    Close,
    End,
}

struct Token {
    kind: Kind,
    text: String,
    range: Range<usize>,
}

struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
}

impl Tokens<'_> {
    /// Keys up to the brace that closes the statement.
    fn keys(&mut self, anchors: &mut Vec<TrustAnchor>) -> Result<(), Broken> {
        loop {
            let name = self.need("a name or '}'")?;
            match name.kind {
                Kind::Close => return self.expect(Kind::End, "';'"),
                Kind::Word | Kind::Quoted => anchors.push(self.key(&name)?),
                Kind::Open | Kind::End => return Err((name.range, "a name or '}'")),
            }
        }
    }

    fn key(&mut self, name: &Token) -> Result<TrustAnchor, Broken> {
        let mut token = self.need("a number")?;
        let form = FORMS.iter().find(|form| form.0 == token.text);
        if form.is_some() {
            token = self.need("a number")?;
        }
        let mut numbers = [0; 3];
        for (index, number) in numbers.iter_mut().enumerate() {
            if index > 0 {
                token = self.need("a number")?;
            }
            *number = token.text.parse().map_err(|_| (token.range.clone(), "a number"))?;
        }
        let (mut data, start) = (String::new(), self.at);
        let end = loop {
            let token = self.need("';'")?;
            match token.kind {
                Kind::Word | Kind::Quoted => data.push_str(&token.text),
                Kind::End => break token.range.start,
                Kind::Open | Kind::Close => return Err((token.range, "';'")),
            }
        };
        let is_ds = form.is_some_and(|form| form.1);
        let expected = if is_ds { "a digest of a key" } else { "a key in Base64" };
        of_key(&name.text, numbers, &data, is_ds).ok_or((start..end, expected))
    }

    fn expect(&mut self, kind: Kind, what: &'static str) -> Result<(), Broken> {
        let token = self.need(what)?;
        if token.kind == kind { Ok(()) } else { Err((token.range, what)) }
    }

    fn need(&mut self, what: &'static str) -> Result<Token, Broken> {
        self.next()?.ok_or((self.at..self.at, what))
    }

    fn skip_block(&mut self, open: Range<usize>) -> Result<(), Broken> {
        let mut depth = 1usize;
        while depth > 0 {
            match self.next()?.map(|token| token.kind) {
                Some(Kind::Open) => depth += 1,
                Some(Kind::Close) => depth -= 1,
                Some(_) => {}
                None => return Err((open, "a '}' that closes this")),
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Token>, Broken> {
        self.skip_blank()?;
        let start = self.at;
        let Some(&first) = self.text.get(start) else { return Ok(None) };
        self.at += 1;
        let kind = match first {
            b'{' => Kind::Open,
            b'}' => Kind::Close,
            b';' => Kind::End,
            b'"' => {
                self.until(|rest| rest.starts_with(b"\""));
                if self.at >= self.text.len() {
                    return Err((start..self.at, "a closing quote"));
                }
                let text = self.lossy(start + 1..self.at);
                self.at += 1;
                return Ok(Some(Token { kind: Kind::Quoted, text, range: start..self.at }));
            }
            _ => {
                self.until(|rest| {
                    rest.first().is_some_and(|byte| {
                        byte.is_ascii_whitespace() || matches!(byte, b'{' | b'}' | b';' | b'"')
                    })
                });
                Kind::Word
            }
        };
        let range = start..self.at;
        Ok(Some(Token { kind, text: self.lossy(range.clone()), range }))
    }

    /// Passes white space and the three kinds of comments.
    fn skip_blank(&mut self) -> Result<(), Broken> {
        loop {
            self.until(|rest| rest.first().is_some_and(|byte| !byte.is_ascii_whitespace()));
            let rest = self.text.get(self.at..).unwrap_or_default();
            if rest.starts_with(b"#") || rest.starts_with(b"//") {
                self.until(|rest| rest.starts_with(b"\n"));
            } else if rest.starts_with(b"/*") {
                let start = self.at;
                self.at += 2;
                self.until(|rest| rest.starts_with(b"*/"));
                if self.at >= self.text.len() {
                    return Err((start..self.at, "a '*/' that closes this"));
                }
                self.at += 2;
            } else {
                return Ok(());
            }
        }
    }

    /// Goes on to where `stop` is true of the rest, or to the end.
    fn until(&mut self, stop: impl Fn(&[u8]) -> bool) {
        while let Some(rest) = self.text.get(self.at..).filter(|rest| !rest.is_empty()) {
            if stop(rest) {
                break;
            }
            self.at += 1;
        }
    }

    fn lossy(&self, range: Range<usize>) -> String {
        String::from_utf8_lossy(self.text.get(range).unwrap_or_default()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_form_are_read() {
        let text = br#"
            // a comment { with braces
            options { directory "/x"; inner { a; }; };
            trusted-keys { /* old */
                "." 257 3 8 "AwEA AQ==";   # one
                example.com. 256 3 5 "AQ=="
                    ;
            };
            trust-anchors { org. initial-key 257 3 13 AQ==; net. static-ds 7 8 2 "aB01"; };
        "#;
        let got: Vec<String> = read(text)
            .expect("keys")
            .iter()
            .map(|a| format!("{} {}", a.owner, data_encoding::HEXLOWER.encode(a.rdata.as_bytes())))
            .collect();
        assert_eq!(
            got,
            [
                ". 0101030803010001",
                "example.com. 0100030501",
                "org. 0101030d01",
                "net. 00070802ab01"
            ]
        );
    }

    #[test]
    fn broken_files_say_what_is_missing() {
        for (text, want) in [
            ("trusted-keys", "'{'"),
            ("trusted-keys { a. 257 3 8 \"AQ==\"; }", "';'"),
            ("trusted-keys { a. 257 3 8 \"AQ==\" }", "';'"),
            ("trusted-keys { a. 257 x 8 \"AQ==\"; };", "a number"),
            ("trusted-keys { a. 257 3 8 \"A?\"; };", "a key in Base64"),
            ("trusted-keys { a. 257 3 8 \"AQ==", "a closing quote"),
            ("options {", "a '}' that closes this"),
            ("/* open", "a '*/' that closes this"),
            ("}", "a statement"),
        ] {
            let (range, expected) = read(text.as_bytes()).expect_err(text);
            assert_eq!(expected, want, "{text}");
            assert!(range.start <= range.end && range.end <= text.len(), "{text}");
        }
    }
}
