//! Who asks: what a client may do and which tags and view it has, by its address or else by the
//! address it asks.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::blocks::Blocks;
use crate::config::{
    AccessAction, ClientRule, Config, Listener, LocalZoneKind, Netblock, Tag, TagSet,
};
use crate::wire::Record;

/// `access-control*:` and `interface-*:`.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients {
    blocks: Blocks<Client>,
    /// By our own address; port 0 is any.
    interfaces: Vec<(SocketAddr, Client)>,
    sights: Vec<Sight>,
}

/// What is known of a client by its address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Client {
    /// What it may do.
    pub access: AccessAction,
    /// What it sees, by its number.
    pub(super) sight: u32,
}

/// What some clients see.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Sight {
    /// Their tags.
    pub(super) tags: TagSet,
    /// Types of local zones by tag.
    pub(super) actions: Vec<(Tag, LocalZoneKind)>,
    /// Data by tag.
    pub(super) data: Vec<(Tag, Record)>,
    /// Their view, by its place in the configuration.
    pub(super) view: Option<usize>,
}

impl Client {
    /// Nothing is known of it.
    const STRANGER: Self = Self { access: AccessAction::Refuse, sight: 0 };
}

impl Clients {
    /// Gathers what is said about each netblock. One that has only tags or a view is allowed.
    pub(super) fn new(config: &Config) -> Self {
        let mut clients = Self { sights: vec![Sight::default()], ..Self::default() };
        let options = &config.policy;
        let actions = config.access_control.iter();
        let actions = actions.map(|(block, action)| (*block, ClientRule::Action(*action)));
        let rules = actions.chain(options.clients.iter().cloned());
        let elements = gather(rules, AccessAction::Allow);
        let blocks: Vec<(Netblock, Client)> = elements
            .into_iter()
            .map(|(block, (access, sight))| (block, clients.client(access, sight)))
            .collect();
        clients.blocks = Blocks::new(blocks);
        let rules = options.interfaces.iter().filter_map(|(listener, rule)| match listener {
            Listener::Address(addr) => Some((*addr, rule.clone())),
            // What a passed socket does not tell.
            Listener::Device(_) => None,
        });
        for (addr, (access, sight)) in gather(rules, AccessAction::Refuse) {
            let client = clients.client(access, sight);
            clients.interfaces.push((addr, client));
        }
        clients
    }

    fn client(&mut self, access: AccessAction, sight: Sight) -> Client {
        let at = self.sights.iter().position(|known| *known == sight).unwrap_or_else(|| {
            self.sights.push(sight);
            self.sights.len() - 1
        });
        Client { access, sight: u32::try_from(at).unwrap_or(0) }
    }

    /// The client at that address, asking at `local`.
    pub(super) fn of(&self, client: IpAddr, local: Option<SocketAddr>) -> Client {
        if let Some(known) = self.blocks.get(client) {
            return *known;
        }
        let Some(local) = local.filter(|_| !self.interfaces.is_empty()) else {
            return Client::STRANGER;
        };
        let at = |port| {
            let wanted = SocketAddr::new(local.ip(), port);
            self.interfaces.iter().find(|row| row.0 == wanted).map(|row| row.1)
        };
        at(local.port()).or_else(|| at(0)).unwrap_or(Client::STRANGER)
    }

    /// What that client sees.
    pub(super) fn sight(&self, sight: u32) -> &Sight {
        static PLAIN: Sight = Sight::PLAIN;
        self.sights.get(sight as usize).unwrap_or(&PLAIN)
    }
}

impl Sight {
    /// What is done with local zones of a tag, if anything is said.
    pub(super) fn action(&self, tag: Tag) -> Option<LocalZoneKind> {
        self.actions.iter().find(|row| row.0 == tag).map(|row| row.1)
    }

    const PLAIN: Self =
        Self { tags: TagSet::NONE, actions: Vec::new(), data: Vec::new(), view: None };
}

type Element = (AccessAction, Sight);

/// What is said about each, in the order they are first named.
fn gather<K: Copy + Eq + std::hash::Hash>(
    rules: impl Iterator<Item = (K, ClientRule)>,
    unless_said: AccessAction,
) -> Vec<(K, Element)> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut elements: Vec<(K, Element)> = Vec::new();
    for (key, rule) in rules {
        let at = *places.entry(key).or_insert_with(|| {
            elements.push((key, (unless_said, Sight::default())));
            elements.len() - 1
        });
        let Some((_, (access, sight))) = elements.get_mut(at) else { continue };
        match rule {
            ClientRule::Action(action) => *access = action,
            ClientRule::Tags(tags) => sight.tags = tags,
            ClientRule::TagAction(tag, kind) => {
                sight.actions.retain(|row| row.0 != tag);
                sight.actions.push((tag, kind));
            }
            ClientRule::TagData(tag, record) => sight.data.push((tag, record)),
            ClientRule::View(view) => sight.view = Some(view),
        }
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_netblock_of_a_client_comes_before_the_address_it_asks() {
        use AccessAction::*;
        let mut config = Config::default();
        let tags = |tag| ClientRule::Tags([Tag(tag)].into_iter().collect());
        config.access_control.push(("10.0.0.0/8".parse().unwrap(), AllowSnoop));
        config.policy.clients = vec![
            ("10.1.0.0/16".parse().unwrap(), tags(1)),
            ("10.0.0.0/8".parse().unwrap(), ClientRule::View(0)),
        ];
        let at = |text: &str| Listener::Address(text.parse().unwrap());
        config.policy.interfaces = vec![
            (at("192.0.2.1:0"), ClientRule::Action(Allow)),
            (at("192.0.2.1:54"), ClientRule::Action(Deny)),
            (at("192.0.2.2:0"), tags(2)),
            (Listener::Device("eth0".into()), tags(3)),
        ];
        let clients = Clients::new(&config);
        for (client, local, access, tagged, view) in [
            ("10.0.0.1", "192.0.2.1:53", AllowSnoop, None, Some(0)),
            ("10.1.0.1", "192.0.2.1:53", Allow, Some(1), None),
            ("11.0.0.1", "192.0.2.1:53", Allow, None, None),
            ("11.0.0.1", "192.0.2.1:54", Deny, None, None),
            ("11.0.0.1", "192.0.2.2:53", Refuse, Some(2), None),
            ("11.0.0.1", "192.0.2.3:53", Refuse, None, None),
            ("127.0.0.1", "192.0.2.1:54", Allow, None, None),
        ] {
            let got = clients.of(client.parse().unwrap(), Some(local.parse().unwrap()));
            let sight = clients.sight(got.sight);
            let tags: TagSet = tagged.map(Tag).into_iter().collect();
            assert_eq!(
                (got.access, &sight.tags, sight.view),
                (access, &tags, view),
                "{client} {local}"
            );
        }
        assert_eq!(clients.of("11.0.0.1".parse().unwrap(), None), Client::STRANGER);
    }
}
