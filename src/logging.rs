//! Diagnostics on standard error and in the journal.
//!
//! | `verbosity:` | adds |
//! |---|---|
//! | 0 | errors and warnings |
//! | 1 | operation: start, reload, stop |
//! | 2 | operation in detail |
//! | 3 | queries: what is asked, of whom, and what became of it |
//! | 4, 5 | the algorithms: every step |
//!
//! Lines look as Unbound's do, so that what reads them goes on reading them. When standard error
//! is the journal (`JOURNAL_STREAM`), a line begins with its priority instead (sd-daemon(3)), as
//! the journal has time and process id itself.
//!
//! ```text
//! [1767225600] prebound[4711:0] info: message field=value
//! <6>message field=value
//! ```
//!
//! Verbosity can be changed at any time. `RUST_LOG` has no meaning: one place to configure is
//! enough.

use std::env;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber, callsite};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt as layer, registry};

use crate::clock::Now;

/// The highest that `verbosity:` goes.
pub const MAX_VERBOSITY: u8 = 5;

/// What is logged at present.
static VERBOSITY: AtomicU8 = AtomicU8::new(1);
/// How time is written at present; see [`Time`].
static TIME: AtomicU8 = AtomicU8::new(Time::Seconds as u8);

/// Modules whose detail is about queries, one by one, rather than about operation.
const QUERIES: &[&str] = &[
    "prebound::cache",
    "prebound::engine",
    "prebound::frontend",
    "prebound::iterator",
    "prebound::mesh",
    "prebound::policy",
    "prebound::validator",
];

/// How a line says when it was written. Not used with the journal.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum Time {
    /// Seconds since 1970: Unbound's default.
    #[default]
    Seconds = 0,
    /// `log-time-ascii: yes`: the same moment for people, in UTC: `Jan 01 00:00:00`.
    Ascii = 1,
    /// `log-time-ascii: yes` and `log-time-iso: yes`: `2026-01-01T00:00:00Z`.
    Iso = 2,
}

/// Diagnostics are set up already; once is enough for a process.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("diagnostics are set up already")]
pub struct AlreadySetUp;

/// Sets up diagnostics for this process. `program` is its name in every line.
///
/// # Errors
///
/// When called twice.
pub fn init(program: &'static str, verbosity: u8) -> Result<(), AlreadySetUp> {
    VERBOSITY.store(verbosity.min(MAX_VERBOSITY), Ordering::Relaxed);
    let journal = stderr_is_journal(env::var("JOURNAL_STREAM").ok().as_deref());
    let lines = layer::layer()
        .event_format(Line { program, journal })
        .with_writer(io::stderr)
        .with_ansi(false);
    let subscriber = registry().with(Gate).with(lines);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| AlreadySetUp)
}

/// What is logged at present; see the table of this module.
pub fn verbosity() -> u8 {
    VERBOSITY.load(Ordering::Relaxed)
}

/// Logs more or less from now on; above [`MAX_VERBOSITY`] is that.
pub fn set_verbosity(verbosity: u8) {
    VERBOSITY.store(verbosity.min(MAX_VERBOSITY), Ordering::Relaxed);
    callsite::rebuild_interest_cache();
}

/// Writes time like this from now on.
pub fn set_time(time: Time) {
    TIME.store(time as u8, Ordering::Relaxed);
}

/// Decides what is logged, once for each place in the program until verbosity changes: a place
/// that logs nothing costs one load of a word.
struct Gate;

impl<S: Subscriber> Layer<S> for Gate {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_logged(metadata.level(), metadata.target(), verbosity()) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        is_logged(metadata.level(), metadata.target(), verbosity())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match verbosity() {
            0 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            2 | 3 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }
}

/// Whether an event of `level` from module `target` is logged at this verbosity.
fn is_logged(level: &Level, target: &str, verbosity: u8) -> bool {
    let of_queries = || QUERIES.iter().any(|module| target.starts_with(module));
    verbosity
        >= match *level {
            Level::ERROR | Level::WARN => 0,
            Level::INFO => 1,
            Level::DEBUG if of_queries() => 3,
            Level::DEBUG => 2,
            Level::TRACE => 4,
        }
}

/// Writes one event as one line: what it belongs to, what it says, its fields.
struct Line {
    program: &'static str,
    journal: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut body = String::new();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            body.push_str(span.name());
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(body, "{{{fields}}}")?;
            }
            body.push_str(": ");
        }
        context.format_fields(Writer::new(&mut body), event)?;
        self.prefix(&mut out, event.metadata().level(), Now::system().unix.0)?;
        one_line(&mut out, &body)?;
        writeln!(out)
    }
}

impl Line {
    fn prefix(&self, out: &mut impl fmt::Write, level: &Level, unix: u64) -> fmt::Result {
        let (priority, word) = match *level {
            Level::ERROR => (3, "error"),
            Level::WARN => (4, "warning"),
            Level::INFO => (6, "info"),
            Level::DEBUG | Level::TRACE => (7, "debug"),
        };
        if self.journal {
            return write!(out, "<{priority}>");
        }
        match TIME.load(Ordering::Relaxed) {
            1 => write!(out, "{}", Civil::from_unix(unix).ascii())?,
            2 => write!(out, "{}", Civil::from_unix(unix).iso())?,
            _ => write!(out, "[{unix}]")?,
        }
        let thread = thread::current();
        let thread = worker(thread.name());
        write!(out, " {}[{}:{thread}] {word}: ", self.program, process::id())
    }
}

/// The number at the end of a thread's name, as in `worker-3`, or the name itself; 0 for the main
/// thread.
fn worker(thread: Option<&str>) -> &str {
    match thread {
        None | Some("main") => "0",
        Some(name) => match name.rsplit_once('-') {
            Some((_, number)) if number.parse::<u16>().is_ok() => number,
            _ => name,
        },
    }
}

/// Copies text so that it stays one line, whatever names from the network are in it.
fn one_line(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    for part in text.split_inclusive(char::is_control) {
        match part.chars().next_back().filter(|last| last.is_control()) {
            None => out.write_str(part)?,
            Some(control) => {
                let head = part.len() - control.len_utf8();
                out.write_str(part.get(..head).unwrap_or_default())?;
                write!(out, "{}", control.escape_default())?;
            }
        }
    }
    Ok(())
}

/// Whether standard error is the stream that the journal reads, by device and inode.
fn stderr_is_journal(variable: Option<&str>) -> bool {
    let same = |variable: &str| {
        let stderr = io::stderr().as_fd().try_clone_to_owned().ok()?;
        let found = File::from(stderr).metadata().ok()?;
        let (device, inode) = variable.split_once(':')?;
        Some(device.parse() == Ok(found.dev()) && inode.parse() == Ok(found.ino()))
    };
    variable.and_then(same).unwrap_or(false)
}

/// Writes a line for the operator before [`init`], or where its form does not fit: a diagnosis of
/// several lines, the last words before exit.
pub fn say(program: &str, text: impl fmt::Display) {
    // Standard error may be closed; then there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{program}: {text}");
}

/// A moment in UTC, as people write it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Civil {
    year: u64,
    month: u8,
    day: u8,
    second_of_day: u32,
}

impl Civil {
    const MONTHS: [(&'static str, u64); 12] = [
        ("Jan", 31),
        ("Feb", 28),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];

    #[expect(clippy::cast_possible_truncation, reason = "remainders are small")]
    fn from_unix(unix: u64) -> Self {
        let leap = |year: u64| {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        };
        let second_of_day = (unix % 86_400) as u32;
        let mut days = unix / 86_400;
        // Whole cycles of the calendar first, so that the loop is short for any clock.
        let mut year = 1970 + days / 146_097 * 400;
        days %= 146_097;
        while days >= 365 + u64::from(leap(year)) {
            days -= 365 + u64::from(leap(year));
            year += 1;
        }
        let mut month = 1;
        for (number, (_, length)) in (1..).zip(Self::MONTHS) {
            let length = length + u64::from(number == 2 && leap(year));
            month = number;
            if days < length {
                break;
            }
            days -= length;
        }
        Self { year, month, day: days as u8 + 1, second_of_day }
    }

    fn clock(self) -> String {
        let s = self.second_of_day;
        format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    }

    fn ascii(self) -> String {
        let month = Self::MONTHS.get(usize::from(self.month) - 1).map_or("", |(name, _)| name);
        format!("{month} {:02} {}", self.day, self.clock())
    }

    fn iso(self) -> String {
        format!("{:04}-{:02}-{:02}T{}Z", self.year, self.month, self.day, self.clock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbosity_says_what_is_logged_as_in_unbound() {
        #[rustfmt::skip]
        let cases = [
            (Level::ERROR, "prebound::iterator", 0),
            (Level::WARN,  "prebound::daemon",   0),
            (Level::INFO,  "prebound::daemon",   1),
            (Level::DEBUG, "prebound::daemon",   2),
            (Level::DEBUG, "prebound::egress",   2),
            (Level::DEBUG, "prebound::iterator", 3),
            (Level::DEBUG, "prebound::mesh",     3),
            (Level::TRACE, "prebound::iterator", 4),
            (Level::TRACE, "prebound::daemon",   4),
        ];
        for (level, target, from) in cases {
            for verbosity in 0..=MAX_VERBOSITY {
                let logged = is_logged(&level, target, verbosity);
                assert_eq!(logged, verbosity >= from, "{level} {target} at {verbosity}");
            }
        }
    }

    #[test]
    fn a_line_says_when_who_and_how_bad_or_leaves_that_to_the_journal() {
        let line = |journal, level| {
            let mut out = String::new();
            let line = Line { program: "prebound", journal };
            line.prefix(&mut out, &level, 1_767_225_600).unwrap();
            out
        };
        let thread = thread::current();
        let expected =
            format!("[1767225600] prebound[{}:{}] warning: ", process::id(), worker(thread.name()));
        assert_eq!(line(false, Level::WARN), expected);
        let journal = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE]
            .map(|level| line(true, level));
        assert_eq!(journal, ["<3>", "<4>", "<6>", "<7>", "<7>"]);
    }

    #[test]
    fn threads_are_known_by_number() {
        for (name, expected) in [
            (None, "0"),
            (Some("main"), "0"),
            (Some("worker-12"), "12"),
            (Some("control"), "control"),
            (Some("a-b"), "a-b"),
        ] {
            assert_eq!(worker(name), expected);
        }
    }

    #[test]
    fn nothing_from_the_network_begins_a_line() {
        for (text, expected) in [
            ("plain ü", "plain ü"),
            ("a\nb", "a\\nb"),
            ("\u{1b}[31mred\u{7f}", "\\u{1b}[31mred\\u{7f}"),
            ("end\r\n", "end\\r\\n"),
            ("\u{9b}", "\\u{9b}"),
            ("", ""),
        ] {
            let mut out = String::new();
            one_line(&mut out, text).unwrap();
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        #[rustfmt::skip]
        let cases = [
            (0,              "1970-01-01T00:00:00Z", "Jan 01 00:00:00"),
            (951_782_399,    "2000-02-28T23:59:59Z", "Feb 28 23:59:59"),
            (951_868_799,    "2000-02-29T23:59:59Z", "Feb 29 23:59:59"),
            (1_735_689_599,  "2024-12-31T23:59:59Z", "Dec 31 23:59:59"),
            (1_767_225_600,  "2026-01-01T00:00:00Z", "Jan 01 00:00:00"),
            (4_107_542_400,  "2100-03-01T00:00:00Z", "Mar 01 00:00:00"),
            (13_000_000_000, "2381-12-14T23:06:40Z", "Dec 14 23:06:40"),
        ];
        for (unix, iso, ascii) in cases {
            let civil = Civil::from_unix(unix);
            assert_eq!((civil.iso().as_str(), civil.ascii().as_str()), (iso, ascii), "{unix}");
        }
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        let stderr = io::stderr().as_fd().try_clone_to_owned().unwrap();
        let found = File::from(stderr).metadata().unwrap();
        let (dev, ino) = (found.dev(), found.ino());
        assert!(stderr_is_journal(Some(&format!("{dev}:{ino}"))));
        assert!(!stderr_is_journal(Some(&format!("{dev}:{}", ino + 1))));
        assert!(!stderr_is_journal(Some("journal")));
        assert!(!stderr_is_journal(None));
    }
}
