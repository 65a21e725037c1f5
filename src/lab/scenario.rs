//! Scenarios: a world, a configuration, and a conversation with the resolver, in a text.
//!
//! ```text
//! ; A line like this is a comment. What stands before the first scenario is for all of them.
//! $ZONE . 192.0.2.1
//! == an expired signature is bogus
//! $CONFIG qname-minimisation: no
//! $ZONE example. 192.0.2.2
//! www A 192.0.2.80
//! $BREAK expired www A
//! --
//! ask www.example. A do => SERVFAIL ede 7
//! ask www.example. A cd => NOERROR
//!     www.example. A 192.0.2.80
//! upstream <= 1
//! ```
//!
//! The world is that of [`World`]; `$CONFIG` adds a line of unbound.conf; `$REAL` says that the
//! scenario is also run through real sockets and processes.
//!
//! | step | meaning |
//! |---|---|
//! | `ask NAME TYPE [do] [cd] [ad] [times N] => RCODE [ad] [ede N] [empty] [within MS]` | a client's query, or that of N clients at once, and the answer: AD and EDE are there exactly if they are named. Indented below it the answer section may be given; a TTL that is given may be up to two seconds more than that of the answer |
//! | `upstream <= N`, `upstream = N` | queries to servers for the last `ask` |
//! | `asked ADDRESS [NAME [TYPE]]` | there was such a query for the last `ask` |
//! | `not-asked ADDRESS [NAME [TYPE]]` | there was none; `*` is any server |
//! | `advance SECONDS` | time passes |
//! | `server ADDRESS BEHAVIOR`, `server ADDRESS ok` | a server changes |
//! | `insert RECORD`, `remove OWNER [TYPE]` | a zone changes |

use std::fmt;
use std::net::IpAddr;

use super::faults::Behavior;
use super::text::{self, LabError, Line, Mistake, Records};
use super::world::{World, address};
use crate::wire::{EdnsOption, Message, Name, Question, Rcode, Record, RecordType};

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it claims.
    pub title: String,
    /// Line of the title.
    pub line: usize,
    /// Lines of unbound.conf.
    pub config: String,
    /// Whether it is also run through real sockets.
    pub real: bool,
    world: Vec<Line>,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    line: usize,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Ask(Ask, Expected),
    Upstream { exactly: bool, count: usize },
    Asked { wanted: bool, server: Option<IpAddr>, name: Option<Name>, rtype: Option<RecordType> },
    Advance(u32),
    Server(IpAddr, Vec<Behavior>),
    Insert(Record),
    Remove(Name, Option<RecordType>),
}

/// A client's query.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is asked.
    pub question: Question,
    /// DNSSEC OK.
    pub dnssec_ok: bool,
    /// Checking disabled.
    pub checking_disabled: bool,
    /// AD: the client understands that flag (RFC 6840 §5.7).
    pub wants_ad: bool,
    /// How many clients ask at once.
    pub times: u16,
}

#[derive(Clone, Debug)]
struct Expected {
    rcode: Rcode,
    ad: bool,
    ede: Option<u16>,
    within: Option<u64>,
    /// The answer section, with TTLs where they were given; not compared if there is none.
    records: Option<Vec<(Record, Option<u32>)>>,
}

/// What a client saw.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Response code.
    pub rcode: Rcode,
    /// Authentic data.
    pub ad: bool,
    /// Code of the first Extended DNS Error.
    pub ede: Option<u16>,
    /// Answer section without RRSIG.
    pub answer: Vec<Record>,
    /// Milliseconds from query to answer.
    pub took: u64,
}

impl Seen {
    /// What an answer says, which took so many milliseconds.
    pub fn read(bytes: &[u8], took: u64) -> Self {
        let Ok(message) = Message::parse(bytes) else { return Self::nothing() };
        let question = message.question.as_ref();
        let qtype = question.map_or(RecordType::ANY, |question| question.rtype);
        let ede = message.edns.as_ref().and_then(|edns| edns.option(EdnsOption::EDE));
        let ede = ede.and_then(|option| option.data.first_chunk());
        let mut answer = message.answer;
        answer.retain(|record| record.rtype != RecordType::RRSIG || qtype == record.rtype);
        Self {
            rcode: message.rcode,
            ad: message.header.ad(),
            ede: ede.map(|code| u16::from_be_bytes(*code)),
            answer,
            took,
        }
    }

    /// No answer at all; its response code is one that does not exist.
    pub const fn nothing() -> Self {
        Self { rcode: Rcode(0xfff), ad: false, ede: None, answer: Vec::new(), took: u64::MAX }
    }
}

/// A query that reached a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// Which server.
    pub server: IpAddr,
    /// What for.
    pub question: Question,
    /// How.
    pub transport: super::Transport,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Question { name, rtype, .. } = &self.question;
        write!(f, "{} {name} {rtype} {}", self.server, self.transport)
    }
}

/// A resolver among the servers of a world.
pub trait Resolver {
    /// Asks it as clients would; [`asked`](Self::asked) begins anew. What each of them saw.
    fn ask(&mut self, ask: &Ask) -> Vec<Seen>;
    /// Queries that reached servers since the last ask began.
    fn asked(&self) -> Vec<Asked>;
    /// Lets time pass.
    fn advance(&mut self, seconds: u32);
    /// Changes the world.
    fn change(&mut self, change: &mut dyn FnMut(&mut World));
}

/// Where a scenario went wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Title of the scenario.
    pub title: String,
    /// Line of the step.
    pub line: usize,
    /// What it said.
    pub expected: String,
    /// What was.
    pub got: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, line, expected, got } = self;
        write!(f, "line {line}: {title}\n  expected {expected}\n  got      {got}")
    }
}

impl Scenario {
    /// Reads all scenarios of a file.
    ///
    /// # Errors
    ///
    /// [`LabError`] with the line and what is wrong there.
    pub fn read_all(text: &str) -> Result<Vec<Self>, LabError> {
        let mut blocks: Vec<(usize, Option<&str>, String)> = vec![(1, None, String::new())];
        for (i, line) in text.lines().enumerate() {
            if let Some(title) = line.strip_prefix("== ") {
                blocks.push((i + 1, Some(title.trim()), String::from("\n")));
            } else if let Some((_, _, block)) = blocks.last_mut() {
                block.push_str(line);
                block.push('\n');
            }
        }
        let (common, scenarios) = blocks.split_first().ok_or_else(|| Mistake::NoRoot.at(1))?;
        scenarios.iter().map(|block| Self::read(common.2.as_str(), block)).collect()
    }

    fn read(common: &str, block: &(usize, Option<&str>, String)) -> Result<Self, LabError> {
        let (first, title, text) = block;
        let (world, steps) =
            text.split_once("\n--\n").ok_or_else(|| Mistake::Expected("--").at(*first))?;
        let mut scenario = Self {
            title: title.unwrap_or_default().to_owned(),
            line: *first,
            config: String::new(),
            real: false,
            world: Vec::new(),
            steps: Vec::new(),
        };
        scenario.read_world(common, 1)?;
        scenario.read_world(world, *first)?;
        scenario.read_steps(steps, first + world.matches('\n').count() + 2)?;
        Ok(scenario)
    }

    fn read_world(&mut self, text: &str, first: usize) -> Result<(), LabError> {
        let mut rest = String::new();
        for line in text.lines() {
            if let Some(config) = line.strip_prefix("$CONFIG ") {
                self.config.push_str(config);
                self.config.push('\n');
            } else if line.trim_end() == "$REAL" {
                self.real = true;
            } else {
                rest.push_str(line);
            }
            rest.push('\n');
        }
        self.world.extend(text::lines(&rest, first)?);
        Ok(())
    }

    fn read_steps(&mut self, text: &str, first: usize) -> Result<(), LabError> {
        for line in text::lines(text, first)? {
            if !line.indented {
                let action = action(&line)?;
                self.steps.push(Step { line: line.number, action });
                continue;
            }
            match self.steps.last_mut().map(|step| &mut step.action) {
                Some(Action::Ask(_, expected)) => {
                    expected.records.get_or_insert_default().push(expected_record(&line)?);
                }
                _ => return Err(Mistake::Expected("ask before records").at(line.number)),
            }
        }
        Ok(())
    }

    /// The world it plays in.
    ///
    /// # Errors
    ///
    /// [`LabError`] with the line and what is wrong there.
    pub fn world(&self) -> Result<World, LabError> {
        World::from_lines(&self.world)
    }

    /// Runs all steps.
    ///
    /// # Errors
    ///
    /// The first [`Failure`].
    pub fn run(&self, resolver: &mut dyn Resolver) -> Result<(), Failure> {
        for step in &self.steps {
            step.run(resolver).map_err(|(expected, got)| Failure {
                title: self.title.clone(),
                line: step.line,
                expected,
                got,
            })?;
        }
        Ok(())
    }
}

impl Step {
    fn run(&self, resolver: &mut dyn Resolver) -> Result<(), (String, String)> {
        match &self.action {
            Action::Ask(ask, expected) => {
                let all = resolver.ask(ask);
                return all.iter().try_for_each(|seen| expected.compare(seen)).map_err(
                    |(expected, got)| {
                        (expected, format!("{got}\n  upstream {}", list(&resolver.asked())))
                    },
                );
            }
            Action::Upstream { exactly, count } => {
                let asked = resolver.asked();
                if asked.len() > *count || *exactly && asked.len() != *count {
                    let sign = if *exactly { "=" } else { "<=" };
                    return Err((
                        format!("upstream {sign} {count}"),
                        format!("{}: {}", asked.len(), list(&asked)),
                    ));
                }
            }
            Action::Asked { wanted, server, name, rtype } => {
                let asked = resolver.asked();
                let matches = |one: &&Asked| {
                    server.is_none_or(|server| server == one.server)
                        && name.as_ref().is_none_or(|name| *name == one.question.name)
                        && rtype.is_none_or(|rtype| rtype == one.question.rtype)
                };
                let found = asked.iter().find(matches);
                if found.is_some() != *wanted {
                    let expected = if *wanted { "to be asked" } else { "not to be asked" };
                    return Err((expected.to_owned(), list(&asked)));
                }
            }
            Action::Advance(seconds) => resolver.advance(*seconds),
            Action::Server(to, behaviors) => {
                resolver.change(&mut |world| world.set_behaviors(*to, behaviors.clone()));
            }
            Action::Insert(record) => {
                resolver.change(&mut |world| world.insert(record.clone()));
            }
            Action::Remove(owner, rtype) => {
                resolver.change(&mut |world| world.remove(owner, *rtype));
            }
        }
        Ok(())
    }
}

fn list(asked: &[Asked]) -> String {
    let lines: Vec<String> = asked.iter().map(Asked::to_string).collect();
    if lines.is_empty() { "nobody was asked".to_owned() } else { lines.join("\n           ") }
}

impl Expected {
    fn compare(&self, seen: &Seen) -> Result<(), (String, String)> {
        let flags = |rcode: Rcode, ad: bool, ede: Option<u16>| {
            let ad = if ad { " ad" } else { "" };
            format!("{rcode}{ad}{}", ede.map_or_else(String::new, |ede| format!(" ede {ede}")))
        };
        let (expected, got) =
            (flags(self.rcode, self.ad, self.ede), flags(seen.rcode, seen.ad, seen.ede));
        if expected != got {
            let records = show(seen.answer.iter().map(|record| (record, None)));
            return Err((expected, format!("{got}; {records}")));
        }
        if let Some(within) = self.within.filter(|within| seen.took > *within) {
            return Err((format!("within {within} ms"), format!("{} ms", seen.took)));
        }
        let Some(records) = &self.records else { return Ok(()) };
        let expected = show(records.iter().map(|(record, _)| (record, None)));
        let got = show(seen.answer.iter().map(|record| (record, None)));
        if expected != got {
            return Err((expected, got));
        }
        for (record, ttl) in records {
            let same = |other: &&Record| shown(other) == shown(record);
            let real = seen.answer.iter().find(same).map(|record| record.ttl);
            if let (Some(ttl), Some(real)) = (ttl, real)
                && !(ttl.saturating_sub(2)..=*ttl).contains(&real)
            {
                let real = show(seen.answer.iter().map(|record| (record, Some(record.ttl))));
                return Err((show([(record, Some(*ttl))].into_iter()), real));
            }
        }
        Ok(())
    }
}

fn show<'a>(records: impl Iterator<Item = (&'a Record, Option<u32>)>) -> String {
    let mut lines: Vec<String> = records
        .map(|(record, ttl)| {
            let ttl = ttl.map_or_else(String::new, |ttl| format!(" (TTL {ttl})"));
            format!("{}{ttl}", shown(record))
        })
        .collect();
    lines.sort_unstable();
    if lines.is_empty() { "no records".to_owned() } else { lines.join(", ") }
}

fn shown(record: &Record) -> String {
    let name = record.rdata.as_name(record.rtype);
    let rdata = name.map_or_else(|| format!("{:?}", record.rdata), |name| name.to_string());
    format!("{} {} {rdata}", record.owner, record.rtype).to_lowercase()
}

fn action(line: &Line) -> Result<Action, LabError> {
    let at = |what| Mistake::Expected(what).at(line.number);
    let number = |i: usize| -> Result<u32, LabError> {
        line.word(i, "a number")?.parse().map_err(|_| at("a number"))
    };
    Ok(match line.word(0, "a step")? {
        "ask" => ask(line)?,
        "upstream" => Action::Upstream {
            exactly: match line.word(1, "<= or =")? {
                "<=" => false,
                "=" => true,
                _ => return Err(at("<= or =")),
            },
            count: number(2)? as usize,
        },
        word @ ("asked" | "not-asked") => Action::Asked {
            wanted: word == "asked",
            server: match line.word(1, "an address")? {
                "*" => None,
                _ => Some(address(line, 1)?),
            },
            name: line.words(2).next().map(|_| absolute(line, 2)).transpose()?,
            rtype: line.words(3).next().map(|_| rtype(line, 3)).transpose()?,
        },
        "advance" => Action::Advance(number(1)?),
        "server" => Action::Server(
            address(line, 1)?,
            match line.word(2, "a behavior")? {
                "ok" => Vec::new(),
                _ => vec![Behavior::read(&line.after(2))?],
            },
        ),
        "insert" => Action::Insert(Records::new(Name::root(), 300).record(&line.after(1))?),
        "remove" => Action::Remove(
            absolute(line, 1)?,
            line.words(2).next().map(|_| rtype(line, 2)).transpose()?,
        ),
        _ => return Err(at("a step")),
    })
}

fn absolute(line: &Line, i: usize) -> Result<Name, LabError> {
    let word = line.word(i, "a name")?;
    text::name(word, &Name::root()).map_err(|error| Mistake::from(error).at(line.number))
}

fn rtype(line: &Line, i: usize) -> Result<RecordType, LabError> {
    let word = line.word(i, "a record type")?;
    word.parse().map_err(|_| Mistake::Expected("a record type").at(line.number))
}

fn ask(line: &Line) -> Result<Action, LabError> {
    let at = |what| Mistake::Expected(what).at(line.number);
    let question = Question::new(absolute(line, 1)?, rtype(line, 2)?);
    let mut ask =
        Ask { question, dnssec_ok: false, checking_disabled: false, wants_ad: false, times: 1 };
    let mut words = line.words(3);
    while let Some(word) = words.next() {
        match word {
            "times" => {
                let times = words.next().and_then(|word| word.parse().ok());
                ask.times = times.ok_or_else(|| at("a number"))?;
            }
            "do" => ask.dnssec_ok = true,
            "cd" => ask.checking_disabled = true,
            "ad" => ask.wants_ad = true,
            "=>" => break,
            _ => return Err(at("do, cd, ad, times or =>")),
        }
    }
    let rcode = words.next().and_then(|word| word.parse().ok());
    let rcode = rcode.ok_or_else(|| at("a response code"))?;
    let mut expected = Expected { rcode, ad: false, ede: None, within: None, records: None };
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|word| word.parse::<u16>().ok());
        match word {
            "ad" => expected.ad = true,
            "empty" => expected.records = Some(Vec::new()),
            "ede" => expected.ede = Some(number().ok_or_else(|| at("a code"))?),
            "within" => {
                expected.within = Some(number().ok_or_else(|| at("milliseconds"))?.into());
            }
            _ => return Err(at("ad, ede, empty or within")),
        }
    }
    Ok(Action::Ask(ask, expected))
}

/// A record of an answer section, and its TTL if one was given.
fn expected_record(line: &Line) -> Result<(Record, Option<u32>), LabError> {
    let ttl = line.words(1).next().and_then(|word| word.parse().ok());
    let line = Line { indented: false, ..line.clone() };
    Ok((Records::new(Name::root(), 0).record(&line)?, ttl))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "; for all\n$ZONE . 192.0.2.1\nx. A 192.0.2.9\n\n== first\n$REAL\n$CONFIG qname-minimisation: no\n--\nask x. A do => NOERROR ad\n    x. 300 A 192.0.2.9\nupstream = 1\n== second\n$AGAIN .\ny. A 192.0.2.8\n--\nask y. A => NXDOMAIN empty\n";

    /// Gives the same answer to everybody.
    struct Fixed(Seen, Vec<Asked>);

    impl Resolver for Fixed {
        fn ask(&mut self, _: &Ask) -> Vec<Seen> {
            vec![self.0.clone()]
        }
        fn asked(&self) -> Vec<Asked> {
            self.1.clone()
        }
        fn advance(&mut self, _: u32) {}
        fn change(&mut self, _: &mut dyn FnMut(&mut World)) {}
    }

    #[test]
    fn every_difference_is_a_failure_with_its_line() {
        let scenarios = Scenario::read_all(TEXT).unwrap();
        assert_eq!(scenarios.len(), 2);
        assert!(scenarios[0].real && !scenarios[1].real);
        assert_eq!(scenarios[0].config, "qname-minimisation: no\n");
        scenarios[1].world().unwrap();
        let record = |text: &str| {
            Records::new(Name::root(), 299).record(&text::lines(text, 1).unwrap()[0]).unwrap()
        };
        let one = Asked {
            server: "192.0.2.1".parse().unwrap(),
            question: Question::new("x.".parse().unwrap(), RecordType::A),
            transport: super::super::Transport::Udp,
        };
        let good = Seen {
            rcode: Rcode::NOERROR,
            ad: true,
            ede: None,
            answer: vec![record("X. A 192.0.2.9")],
            took: 1,
        };
        let run = |seen: Seen, asked: &[Asked]| {
            let result = scenarios[0].run(&mut Fixed(seen, asked.to_vec()));
            result.map_err(|failure| failure.line)
        };
        assert_eq!(run(good.clone(), std::slice::from_ref(&one)), Ok(()));
        assert_eq!(run(good.clone(), &[one.clone(), one]), Err(11));
        let answer = vec![record("x. A 192.0.2.7")];
        for (why, bad) in [
            ("ad", Seen { ad: false, ..good.clone() }),
            ("ede", Seen { ede: Some(6), ..good.clone() }),
            ("rcode", Seen { rcode: Rcode::SERVFAIL, ..good.clone() }),
            ("data", Seen { answer, ..good.clone() }),
            ("nothing", Seen { answer: Vec::new(), ..good.clone() }),
            ("ttl", Seen { answer: vec![record("x. 200 A 192.0.2.9")], ..good }),
        ] {
            assert_eq!(run(bad, &[]), Err(9), "{why}");
        }
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line) in [
            ("== a\n$ZONE . 192.0.2.1\nask x. A => NOERROR\n", 1),
            ("== a\n--\nask x. A NOERROR\n", 3),
            ("\n== a\n\n--\n\n    x. A 192.0.2.1\n", 6),
            ("== a\n--\nask x. A => NOERROR\nsleep 3\n", 4),
            ("== a\n--\nask x. A => WELL\n", 3),
        ] {
            assert_eq!(Scenario::read_all(text).unwrap_err().line, line, "{text}");
        }
    }
}
