//! Changes of a configuration that is in force, as operators make them one by one.

use std::net::SocketAddr;

use thiserror::Error;

use super::draft::Draft;
use super::lexer::Value;
use super::master::{self, RecordError};
use super::resolved::Config;
use super::settings::Settings;
use super::shape::{self, ValueError};
use super::source::Span;
use super::table::{self, Clause, Status};
use super::zone::{ForwardAddr, ForwardHost};
use crate::wire::Record;

/// Why an option cannot be set while the process runs.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SetError {
    /// There is no such option.
    #[error("unknown option{}", .nearest.map_or_else(String::new, |name| format!(", did you mean '{name}'?")))]
    Unknown {
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// The value is not what the option takes.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// It is in force from the start to the end of the process, or takes other commands.
    #[error("it {why}")]
    Fixed {
        /// Why, as the end of a sentence that begins with the option.
        why: &'static str,
    },
}

/// Options of `server:` that a running process cannot change, and why.
const FIXED: &[(&[&str], &str)] = &[
    (
        &["num-threads", "module-config", "directory", "chroot"],
        "cannot change while the process runs: edit the file and restart",
    ),
    (
        &["msg-cache-size", "rrset-cache-size", "key-cache-size", "infra-cache-numhosts"],
        "cannot change while the process runs: the memory was reserved at the start",
    ),
    (
        &["port", "tls-port", "https-port", "tls-service-key", "tls-service-pem"],
        "belongs to the sockets, which whoever starts the daemon opens",
    ),
    (
        &["do-not-query-localhost", "do-ip4", "do-ip6", "do-udp", "do-tcp"],
        "concerns the program that opens sockets as well: edit the file, then reload and restart",
    ),
];
/// Why a list cannot be set.
const LIST: &str = "is a list: edit the file and reload, or use the commands for zones and data";

/// Sets an option of `server:` that has one value, in a configuration and in what is said about
/// it. The value of an option without effect is only noted.
///
/// # Errors
///
/// [`SetError`]; nothing has changed then.
pub fn set_option(
    config: &mut Config,
    settings: &mut Settings,
    name: &str,
    value: &str,
) -> Result<(), SetError> {
    let unknown = || SetError::Unknown { nearest: table::nearest_name(Some(Clause::Server), name) };
    let row = table::find(Clause::Server, name).ok_or_else(unknown)?;
    if row.list || row.shape.arity() != 1 {
        return Err(SetError::Fixed { why: LIST });
    }
    if let Some((_, why)) = FIXED.iter().find(|(names, _)| names.contains(&row.name)) {
        return Err(SetError::Fixed { why });
    }
    let text = value.to_owned();
    let value = Value { text, span: Span::default(), quoted: false, on_new_line: false };
    let mut draft = Draft { config: config.clone(), ..Draft::default() };
    let shown = row.apply(&mut draft, &[value]).map_err(|(_, error)| error)?;
    if !matches!(row.status, Status::Ignored { .. }) {
        *config = draft.config;
    }
    settings.change(row, shown);
    Ok(())
}

/// Reads exactly one record, as `local-data:` has it.
///
/// # Errors
///
/// [`RecordError`] says which word is wrong.
pub fn record(text: &str) -> Result<Record, RecordError> {
    master::record(text)
}

/// Reads servers as `forward-addr:` and `forward-host:` have them, addresses and names in any
/// order; the port is that of TLS where `tls` says so and none is given.
///
/// # Errors
///
/// Which word is wrong, counted from 0, and how.
pub fn zone_servers(
    words: &[&str],
    tls: bool,
    config: &Config,
) -> Result<(Vec<ForwardAddr>, Vec<ForwardHost>), (usize, ValueError)> {
    let default_port = if tls || config.tls_upstream { config.tls_port } else { 53 };
    let (mut addrs, mut hosts) = (Vec::new(), Vec::new());
    for (index, word) in words.iter().enumerate() {
        match shape::server(word) {
            Ok(server) => {
                let addr = SocketAddr::new(server.host, server.port.unwrap_or(default_port));
                addrs.push(ForwardAddr { addr, tls_name: server.tls_name });
            }
            Err(ValueError::Server { is_name: true }) => {
                let server = shape::host(word).map_err(|error| (index, error))?;
                let port = server.port.unwrap_or(default_port);
                hosts.push(ForwardHost { name: server.host, port, tls_name: server.tls_name });
            }
            Err(error) => return Err((index, error)),
        }
    }
    Ok((addrs, hosts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_one_value_can_be_set_and_no_others() {
        #[rustfmt::skip]
        let cases = [
            ("prefetch",         "yes",       "ok"),
            ("val-bogus-ttl",    "7",         "ok"),
            ("harden-short-bufsize", "no",    "ok"),
            ("prefetch",         "maybe",     "expected yes or no"),
            ("prefetsch",        "yes",       "unknown option, did you mean 'prefetch'?"),
            ("num-threads",      "2",         "it cannot change while the process runs: edit the file and restart"),
            ("local-zone",       "x. static", "it is a list: edit the file and reload, or use the commands for zones and data"),
            ("domain-insecure",  "x.",        "it is a list: edit the file and reload, or use the commands for zones and data"),
        ];
        for (name, value, want) in cases {
            let (mut config, mut settings) = (Config::default(), Settings::default());
            let got = set_option(&mut config, &mut settings, name, value);
            let got = got.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
            assert_eq!(got, want, "{name}: {value}");
            if want == "ok" {
                assert_eq!(settings.get(name), Some(vec![value]), "{name}");
            } else {
                assert_eq!(config, Config::default(), "{name}: nothing has changed");
            }
        }
        let (mut config, mut settings) = (Config::default(), Settings::default());
        set_option(&mut config, &mut settings, "val-bogus-ttl", "7").unwrap();
        assert_eq!(config, Config { val_bogus_ttl: 7, ..Config::default() });
    }

    #[test]
    fn every_option_that_is_fixed_exists() {
        for name in FIXED.iter().flat_map(|row| row.0) {
            assert!(table::find(Clause::Server, name).is_some(), "{name}");
        }
    }

    #[test]
    fn servers_are_addresses_or_names() {
        let config = Config::default();
        let words = ["192.0.2.1", "2001:db8::1@5353", "ns.Example", "192.0.2.2#dns.example"];
        let (addrs, hosts) = zone_servers(&words, true, &config).unwrap();
        let shown: Vec<_> = addrs.iter().map(|server| server.addr.to_string()).collect();
        assert_eq!(shown, ["192.0.2.1:853", "[2001:db8::1]:5353", "192.0.2.2:853"]);
        assert_eq!(hosts[0].name, "ns.example.".parse().unwrap());
        assert_eq!(zone_servers(&["192.0.2.1", "a..b"], false, &config).unwrap_err().0, 1);
    }
}
