//! No option is called implemented that does nothing, and the list of options for readers is true.
//!
//! The rows of the option tables are read as text: which field of the configuration a row sets is
//! not known at run time. A row without a status of its own promises that somebody outside
//! `src/config` reads its field, tests aside.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Rows that a function takes, and the field where what they say ends up.
const BY_FUNCTION: &[(&str, &str)] = &[
    ("chroot", "directory"),
    ("directory", "directory"),
    ("interface", "interfaces"),
    ("outgoing-port-permit", "outgoing_ports"),
    ("outgoing-port-avoid", "outgoing_ports"),
    ("access-control", "access_control"),
    ("local-zone", "local_zones"),
    ("local-data", "local_data"),
    ("local-data-ptr", "local_data"),
    ("wait-limit-netblock", "wait_limit_netblock"),
    ("wait-limit-cookie-netblock", "wait_limit_cookie_netblock"),
    ("cookie-secret", "cookie_secrets"),
    ("module-config", "module_config"),
    ("root-hints", "root_hints"),
    ("fake-dsa", "fake_dsa"),
    ("fake-sha1", "fake_sha1"),
    ("trust-anchor", "trust_anchors"),
    ("trust-anchor-file", "trust_anchors"),
    ("trusted-keys-file", "trust_anchors"),
    ("auto-trust-anchor-file", "anchor_files"),
    ("control-interface", "control_interface"),
    ("forward-addr", "addrs"),
    ("forward-host", "hosts"),
    ("stub-addr", "addrs"),
    ("stub-host", "hosts"),
    ("allow-notify", "source"),
];

/// Fields that other fields are made of before the configuration is handed out.
const WITHIN: &[(&str, &str)] = &[
    ("do_nat64", "nat64"),
    ("nat64_prefix", "nat64"),
    ("edns_client_string", "edns_client_string_opcode"),
    ("tls_cert_bundle", "tls_roots"),
    ("tls_system_cert", "tls_roots"),
    ("do_not_query_localhost", "do_not_query_address"),
    ("directory", "root_hints"),
    ("cookie_secret_file", "cookie_secrets"),
];

#[test]
fn what_is_called_implemented_is_read_by_somebody() {
    let rows = rows();
    assert!(rows.len() > 100, "the notation of the tables has changed: {} rows", rows.len());
    let readers = readers();
    let unread: Vec<String> = rows
        .iter()
        .filter(|(_, field)| {
            let field =
                WITHIN.iter().find(|row| row.0 == field).map_or(field.as_str(), |row| row.1);
            !is_read(field, &readers)
        })
        .map(|(option, field)| format!("{option}: nothing outside src/config reads {field}"))
        .collect();
    assert!(unread.is_empty(), "\n{}", unread.join("\n"));
}

#[test]
fn a_field_that_nothing_reads_is_noticed() {
    let readers = ["fn f(config: &Config) { config.prefetch; }".to_owned()];
    for (field, expected) in [("prefetch", true), ("prefetch_key", false), ("fetch", false)] {
        assert_eq!(is_read(field, &readers), expected, "{field}");
    }
    let code = "config.used;\n#[cfg(test)]\nmod tests {\n config.only_tested;\n}\n";
    assert!(!without_tests(code).contains("only_tested"));
}

/// Signatures are believed unseen by builds for tests alone, and by those only when asked.
#[test]
fn nobody_is_made_to_believe_signatures_unseen() {
    for option in ["fake-sha1", "fake-dsa"] {
        let load = |value: &str| {
            let text = format!("server:\n {option}: {value}\n");
            prebound::config::load_text(Path::new("test.conf"), text)
        };
        let config = load("no").unwrap().config;
        assert!(!config.fake_sha1 && !config.fake_dsa, "{option}");
        let yes = load("yes");
        if cfg!(feature = "fake-sha1") {
            let config = yes.unwrap().config;
            assert_eq!(
                (config.fake_sha1, config.fake_dsa),
                (option == "fake-sha1", option == "fake-dsa")
            );
        } else {
            let why = yes.unwrap_err().to_string();
            assert!(
                why.contains("test.conf:2") && why.contains("without the feature 'fake-sha1'"),
                "{why}"
            );
        }
    }
}

/// `UPDATE_DOCS=1 cargo test --test options` writes it anew.
#[test]
fn the_list_for_readers_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/options.md");
    let rendered = prebound::config::options_document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &rendered).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == rendered, "docs/options.md is out of date: UPDATE_DOCS=1 renders it anew");
}

/// Every row that is called implemented, with its field.
fn rows() -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for file in files(&source().join("config/table")) {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines().map(str::trim).filter(|line| line.starts_with('"')) {
            let Some((option, _)) = line[1..].split_once('"') else { continue };
            let Some(how) = line.rsplit(", ").next().and_then(|how| how.strip_suffix(");")) else {
                continue;
            };
            let Some((how, field)) = how.split_once('(') else { continue };
            match how {
                "set" | "push" | "forward" | "stub" | "copy" => {
                    rows.push((option.to_owned(), field.to_owned()));
                }
                // A clause's name is read as the name of its zone.
                "call" | "list" if option != "name" => {
                    let field = BY_FUNCTION.iter().find(|row| row.0 == option);
                    let (_, field) = field.unwrap_or_else(|| panic!("{option}: which field?"));
                    rows.push((option.to_owned(), (*field).to_owned()));
                }
                _ => {}
            }
        }
    }
    rows
}

/// The code of the program without configuration and tests.
fn readers() -> Vec<String> {
    files(&source())
        .into_iter()
        .filter(|file| {
            let path = file.strip_prefix(source()).unwrap();
            let test = |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs";
            !path.starts_with("config") && !path.iter().any(test)
        })
        .map(|file| without_tests(&fs::read_to_string(file).unwrap()).to_owned())
        .collect()
}

/// The code above the module of tests.
fn without_tests(code: &str) -> &str {
    code.split("#[cfg(test)]\nmod tests {").next().unwrap_or(code)
}

fn is_read(field: &str, readers: &[String]) -> bool {
    let access = format!(".{field}");
    readers.iter().any(|code| {
        code.match_indices(&access).any(|(at, _)| {
            let rest = &code[at + access.len()..];
            !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '(')
        })
    })
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
