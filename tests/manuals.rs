//! The manual pages name every option that the programs take, and every exit code of sysexits(3)
//! that their help names.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const PROGRAMS: [(&str, &str); 5] = [
    ("prebound", env!("CARGO_BIN_EXE_prebound")),
    ("prebound-checkconf", env!("CARGO_BIN_EXE_prebound-checkconf")),
    ("prebound-control", env!("CARGO_BIN_EXE_prebound-control")),
    ("prebound-egress", env!("CARGO_BIN_EXE_prebound-egress")),
    ("prebound-launch", env!("CARGO_BIN_EXE_prebound-launch")),
];

#[test]
fn every_option_is_in_the_manual_and_no_other() {
    for (name, program) in PROGRAMS {
        let help = Command::new(program).arg("--help").output().unwrap();
        assert!(help.status.success(), "{name} --help");
        let help = String::from_utf8(help.stdout).unwrap();
        let known: BTreeSet<String> = help
            .lines()
            .map(str::trim_start)
            .filter(|line| line.starts_with('-'))
            .flat_map(|line| line.split([' ', ',', '=']).take_while(|word| !word.starts_with('<')))
            .filter_map(|word| {
                word.strip_prefix("--").map(|word| word.trim_end_matches('.').to_owned())
            })
            .filter(|word| !word.is_empty())
            .collect();
        assert!(known.contains("help") && known.len() >= 3, "{name}: {known:?}");
        let page = page(name);
        let described: BTreeSet<String> = page
            .lines()
            .filter(|line| line.starts_with(".It "))
            .flat_map(|line| line.split(' '))
            .filter_map(|word| word.strip_prefix("\\-").map(str::to_owned))
            .filter(|word| !word.is_empty())
            .collect();
        assert_eq!(described, known, "{name}");
    }
}

#[test]
fn every_exit_status_of_the_help_is_in_the_manual() {
    for (name, program) in PROGRAMS {
        let help = Command::new(program).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let Some((_, statuses)) = help.split_once("Exit status") else { continue };
        let page = page(name);
        for status in statuses.split(|c: char| !c.is_ascii_digit()) {
            if status.len() == 2 {
                assert!(page.contains(&format!(".It {status}\n")), "{name}: {status}");
            }
        }
    }
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/man/{name}.8"));
    fs::read_to_string(&path).unwrap()
}
