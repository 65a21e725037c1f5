//! Options of policy while files are being read, and what they become.
//!
//! Tags and views may be used before they are defined, so that all of this waits for the end.

use std::net::SocketAddr;

use super::auth::{self, CopyDraft};
use super::draft::{self, FromValues};
use super::error::ErrorKind;
use super::lexer::Value;
use super::master;
use super::net::{AccessAction, Netblock};
use super::parse::Parser;
use super::policy::{
    ClientRule, Listener, PolicyOptions, ResponseRules, Rpz, RpzOverride, Substitute, Tag, TagSet,
    View,
};
use super::shape::{self, Interface, ValueError};
use super::source::Span;
use super::table::Clause;
use super::zone::{LocalZone, LocalZoneKind};
use crate::wire::{Name, Record, RecordType};

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct PolicyDraft {
    /// Of `server:`.
    pub(super) rules: Vec<Given>,
    /// Of each `view:` and `rpz:`.
    pub(super) clauses: Vec<ClauseDraft>,
}

/// A `view:` or `rpz:` clause.
#[derive(Debug)]
pub(super) struct ClauseDraft {
    clause: Clause,
    span: Span,
    given: Vec<Given>,
}

/// An option with its values, whose form has been checked.
#[derive(Debug)]
pub(super) struct Given {
    rule: Rule,
    values: Vec<Value>,
}

/// Options that end up in [`PolicyOptions`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rule {
    DefineTag,
    AccessTag,
    AccessTagAction,
    AccessTagData,
    AccessView,
    InterfaceAction,
    InterfaceTag,
    InterfaceTagAction,
    InterfaceTagData,
    InterfaceView,
    ZoneTag,
    ZoneOverride,
    ResponseIp,
    ResponseIpData,
    ResponseIpTag,
    ClauseName,
    ViewZone,
    ViewData,
    ViewDataPtr,
    ViewFirst,
    RpzAction,
    RpzCname,
    RpzLog,
    RpzLogName,
    RpzSignal,
    RpzTags,
}

impl Rule {
    /// The name of the option.
    fn option(self) -> &'static str {
        match self {
            Self::DefineTag => "define-tag",
            Self::AccessTag => "access-control-tag",
            Self::AccessTagAction => "access-control-tag-action",
            Self::AccessTagData => "access-control-tag-data",
            Self::AccessView => "access-control-view",
            Self::InterfaceAction => "interface-action",
            Self::InterfaceTag => "interface-tag",
            Self::InterfaceTagAction => "interface-tag-action",
            Self::InterfaceTagData => "interface-tag-data",
            Self::InterfaceView => "interface-view",
            Self::ZoneTag => "local-zone-tag",
            Self::ZoneOverride => "local-zone-override",
            Self::ResponseIp => "response-ip",
            Self::ResponseIpData => "response-ip-data",
            Self::ResponseIpTag => "response-ip-tag",
            Self::ClauseName => "name",
            Self::ViewZone => "local-zone",
            Self::ViewData => "local-data",
            Self::ViewDataPtr => "local-data-ptr",
            Self::ViewFirst => "view-first",
            Self::RpzAction => "rpz-action-override",
            Self::RpzCname => "rpz-cname-override",
            Self::RpzLog => "rpz-log",
            Self::RpzLogName => "rpz-log-name",
            Self::RpzSignal => "rpz-signal-nxdomain-ra",
            Self::RpzTags => "tags",
        }
    }
}

impl PolicyDraft {
    /// A `view:` or `rpz:` clause begins.
    pub(super) fn begin(&mut self, clause: Clause, span: Span) {
        self.clauses.push(ClauseDraft { clause, span, given: Vec::new() });
    }

    /// Takes an option of `server:`.
    pub(super) fn server(&mut self, rule: Rule, values: &[Value]) {
        self.rules.push(Given { rule, values: values.to_vec() });
    }

    /// Takes an option of the `view:` or `rpz:` clause of now.
    pub(super) fn clause(&mut self, rule: Rule, values: &[Value]) {
        if let Some(clause) = self.clauses.last_mut() {
            clause.given.push(Given { rule, values: values.to_vec() });
        }
    }
}

/// What the options of policy come to; mistakes go to `parser`.
pub(super) fn finish(parser: &mut Parser, copies: &[CopyDraft]) -> PolicyOptions {
    let draft = std::mem::take(&mut parser.draft.policy);
    let mut options = PolicyOptions::default();
    let mut errors = Vec::new();
    for given in draft.rules.iter().filter(|given| given.rule == Rule::DefineTag) {
        let words = given.text(0).split_ascii_whitespace();
        for tag in words {
            if !options.tags.iter().any(|known| known == tag) {
                options.tags.push(tag.to_owned());
            }
        }
    }
    for clause in draft.clauses.iter().filter(|clause| clause.clause == Clause::View) {
        if clause.named().is_none() {
            parser.error(clause.span, ErrorKind::Nameless { clause: clause.clause });
        }
        let view = clause.view(&mut errors);
        options.views.push(view);
    }
    let copies = copies.iter().filter(|copy| copy.clause == Clause::Rpz);
    let clauses = draft.clauses.iter().filter(|clause| clause.clause == Clause::Rpz);
    for (clause, copy) in clauses.zip(copies) {
        // One without a name is a mistake noted elsewhere.
        let Some(source) = copy.source(parser) else { continue };
        let mut rpz = Rpz::new(source);
        rpz.for_downstream = copy.for_downstream;
        clause.rpz(&mut rpz, &options.tags, &mut errors);
        auth::check(parser, clause.span, Clause::Rpz, &rpz.source);
        options.rpz.push(rpz);
    }
    for given in &draft.rules {
        if let Err((index, error)) = given.apply(&mut options) {
            errors.push((given.span(index), given.rule.option(), error));
        }
    }
    for (span, option, error) in errors {
        if let Some(span) = span {
            parser.error(span, ErrorKind::BadValue { option, error });
        }
    }
    options
}

type Mistake = (Option<Span>, &'static str, ValueError);

impl Given {
    fn text(&self, index: usize) -> &str {
        self.values.get(index).map_or("", |value| &value.text)
    }

    fn span(&self, index: usize) -> Option<Span> {
        self.values.get(index).map(|value| value.span)
    }

    fn netblock(&self, index: usize) -> Result<Netblock, (usize, ValueError)> {
        self.text(index).parse().map_err(|error: super::NetblockError| (index, error.into()))
    }

    fn name(&self) -> Result<Name, (usize, ValueError)> {
        Name::from_values(&self.values)
    }

    fn flag(&self) -> bool {
        self.text(0) == "yes"
    }

    /// An option of `server:`.
    fn apply(&self, options: &mut PolicyOptions) -> Result<(), (usize, ValueError)> {
        match self.rule {
            Rule::ZoneTag => {
                let tags = tags(self.text(1), &options.tags).map_err(|error| (1, error))?;
                options.zone_tags.push((self.name()?, tags));
            }
            Rule::ZoneOverride => {
                let row = (self.name()?, self.netblock(1)?, kind(self.text(2)));
                options.zone_overrides.push(row);
            }
            Rule::ResponseIp | Rule::ResponseIpData | Rule::ResponseIpTag => {
                let known = std::mem::take(&mut options.tags);
                let done = self.response(&mut options.responses, &known);
                options.tags = known;
                done?;
            }
            Rule::AccessTag | Rule::AccessTagAction | Rule::AccessTagData | Rule::AccessView => {
                let rule = self.client_rule(options)?;
                options.clients.push((self.netblock(0)?, rule));
            }
            Rule::InterfaceAction
            | Rule::InterfaceTag
            | Rule::InterfaceTagAction
            | Rule::InterfaceTagData
            | Rule::InterfaceView => {
                let rule = self.client_rule(options)?;
                options.interfaces.push((listener(self.text(0)).map_err(|e| (0, e))?, rule));
            }
            _ => {}
        }
        Ok(())
    }

    /// What is said about clients, whoever they are.
    fn client_rule(&self, options: &PolicyOptions) -> Result<ClientRule, (usize, ValueError)> {
        let known = &options.tags;
        let at_one = |error| (1, error);
        Ok(match self.rule {
            Rule::InterfaceAction => ClientRule::Action(access(self.text(1))),
            Rule::AccessTag | Rule::InterfaceTag => {
                ClientRule::Tags(tags(self.text(1), known).map_err(at_one)?)
            }
            Rule::AccessTagAction | Rule::InterfaceTagAction => {
                ClientRule::TagAction(tag(self.text(1), known).map_err(at_one)?, kind(self.text(2)))
            }
            Rule::AccessTagData | Rule::InterfaceTagData => ClientRule::TagData(
                tag(self.text(1), known).map_err(at_one)?,
                ownerless(self.text(2)).map_err(|error| (2, error))?,
            ),
            _ => {
                let name = self.text(1);
                let view = options.views.iter().position(|view| view.name == name);
                let unknown = || (1, ValueError::UnknownView { name: name.to_owned() });
                ClientRule::View(view.ok_or_else(unknown)?)
            }
        })
    }

    /// An option about addresses in answers.
    fn response(
        &self,
        rules: &mut ResponseRules,
        known: &[String],
    ) -> Result<(), (usize, ValueError)> {
        let block = self.netblock(0)?;
        match self.rule {
            Rule::ResponseIp => rules.actions.push((block, kind(self.text(1)))),
            Rule::ResponseIpTag => {
                rules.tags.push((block, tags(self.text(1), known).map_err(|error| (1, error))?));
            }
            _ => {
                let record = ownerless(self.text(1)).map_err(|error| (1, error))?;
                let fits = match record.rtype {
                    RecordType::A => block.addr().is_ipv4(),
                    RecordType::AAAA => block.addr().is_ipv6(),
                    RecordType::CNAME => true,
                    _ => false,
                };
                if !fits {
                    return Err((1, ValueError::ResponseData));
                }
                let Record { rtype, ttl, rdata, .. } = record;
                let others = rules.data.iter().filter(|(other, _)| *other == block);
                let alias = rtype == RecordType::CNAME;
                if others.into_iter().any(|(_, o)| alias || o.rtype == RecordType::CNAME) {
                    return Err((1, ValueError::AliasBesideData));
                }
                rules.data.push((block, Substitute { rtype, ttl, rdata }));
            }
        }
        Ok(())
    }
}

impl ClauseDraft {
    fn named(&self) -> Option<&Given> {
        self.given.iter().rfind(|given| given.rule == Rule::ClauseName)
    }

    fn view(&self, errors: &mut Vec<Mistake>) -> View {
        let mut view = View::default();
        for given in &self.given {
            if let Err((index, error)) = given.of_view(&mut view) {
                errors.push((given.span(index), given.rule.option(), error));
            }
        }
        view
    }

    fn rpz(&self, rpz: &mut Rpz, known: &[String], errors: &mut Vec<Mistake>) {
        for given in &self.given {
            if let Err((index, error)) = given.of_rpz(rpz, known) {
                errors.push((given.span(index), given.rule.option(), error));
            }
        }
        if rpz.action == Some(RpzOverride::Cname) && rpz.cname.is_none() {
            errors.push((Some(self.span), Rule::RpzAction.option(), ValueError::NoCname));
        }
    }
}

impl Given {
    fn of_view(&self, view: &mut View) -> Result<(), (usize, ValueError)> {
        match self.rule {
            Rule::ClauseName => self.text(0).clone_into(&mut view.name),
            Rule::ViewFirst => view.first = self.flag(),
            Rule::ViewZone => {
                view.zones.push(LocalZone { name: self.name()?, kind: kind(self.text(1)) });
            }
            Rule::ViewData => {
                view.data.push(master::record(self.text(0)).map_err(|error| (0, error.into()))?);
            }
            Rule::ViewDataPtr => view.data.push(draft::ptr_record(&self.values)?),
            _ => self.response(&mut view.responses, &[])?,
        }
        Ok(())
    }

    fn of_rpz(&self, rpz: &mut Rpz, known: &[String]) -> Result<(), (usize, ValueError)> {
        match self.rule {
            Rule::RpzAction => {
                let spellings = RpzOverride::SPELLINGS.iter();
                rpz.action = spellings.into_iter().find(|r| r.0 == self.text(0)).map(|r| r.1);
            }
            Rule::RpzCname => rpz.cname = Some(self.name()?),
            Rule::RpzLog => rpz.log = self.flag(),
            Rule::RpzLogName => self.text(0).clone_into(&mut rpz.log_name),
            Rule::RpzSignal => rpz.signal_nxdomain_ra = self.flag(),
            Rule::RpzTags => {
                rpz.tags = Some(tags(self.text(0), known).map_err(|error| (0, error))?);
            }
            _ => {}
        }
        Ok(())
    }
}

//--- Words

fn tag(text: &str, known: &[String]) -> Result<Tag, ValueError> {
    let at = known.iter().position(|tag| tag == text).map(Tag);
    at.ok_or_else(|| ValueError::UnknownTag { name: text.to_owned() })
}

fn tags(text: &str, known: &[String]) -> Result<TagSet, ValueError> {
    text.split_ascii_whitespace().map(|word| tag(word, known)).collect()
}

/// The shape has seen to it that it is one of the words.
fn kind(text: &str) -> LocalZoneKind {
    let row = LocalZoneKind::SPELLINGS.iter().find(|row| row.0 == text);
    row.map_or(LocalZoneKind::Transparent, |row| row.1)
}

fn access(text: &str) -> AccessAction {
    let row = AccessAction::SPELLINGS.iter().find(|row| row.0 == text);
    row.map_or(AccessAction::Refuse, |row| row.1)
}

/// A record whose owner is left open.
fn ownerless(text: &str) -> Result<Record, ValueError> {
    Ok(master::record(&format!(". {text}"))?)
}

/// Port 0 is any port.
fn listener(text: &str) -> Result<Listener, ValueError> {
    Ok(match shape::interface(text)? {
        Interface::Address(ip, port) => {
            Listener::Address(SocketAddr::new(ip, port.unwrap_or_default()))
        }
        Interface::Device => Listener::Device(text.to_owned()),
    })
}
