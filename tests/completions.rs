//! The completions for shells are those of the command lines.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use clap_complete::{Shell, generate};

/// How a shell wants the file of a program to be named.
type FileName = fn(&str) -> String;

/// Every shell, the name of its directory, and how it names files.
const SHELLS: [(Shell, &str, FileName); 3] = [
    (Shell::Bash, "bash", str::to_owned),
    (Shell::Fish, "fish", |program| format!("{program}.fish")),
    (Shell::Zsh, "zsh", |program| format!("_{program}")),
];

fn programs() -> [(&'static str, Command); 5] {
    [
        ("prebound", prebound::daemon::command()),
        ("prebound-checkconf", prebound::checkconf::command()),
        ("prebound-control", prebound::control::client::command()),
        ("prebound-egress", prebound::egress::program::command()),
        ("prebound-launch", prebound::launch::command()),
    ]
}

/// `UPDATE_DOCS=1 cargo test --test completions` writes them anew.
#[test]
fn completions_are_up_to_date() {
    for (shell, directory, file_name) in SHELLS {
        let directory = completions().join(directory);
        for (program, command) in programs() {
            let path = directory.join(file_name(program));
            let rendered = render(shell, program, command);
            if std::env::var_os("UPDATE_DOCS").is_some() {
                fs::create_dir_all(&directory).unwrap();
                fs::write(&path, &rendered).unwrap();
            }
            let written = fs::read_to_string(&path).unwrap_or_default();
            let path = path.display();
            assert!(written == rendered, "{path} is out of date: UPDATE_DOCS=1 renders it anew");
        }
    }
}

#[test]
fn there_are_completions_of_no_other_program() {
    for (_, directory, file_name) in SHELLS {
        let found: BTreeSet<String> = fs::read_dir(completions().join(directory))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let expected = programs().iter().map(|(program, _)| file_name(program)).collect();
        assert_eq!(found, expected, "{directory}");
    }
}

#[test]
fn every_shell_knows_options_and_commands() {
    let cases = [
        ("prebound", "no-sandbox"),
        ("prebound-checkconf", "units"),
        ("prebound-control", "flush_zone"),
        ("prebound-egress", "rate"),
        ("prebound-launch", "listen"),
    ];
    for (program, word) in cases {
        for (shell, _, _) in SHELLS {
            let (_, command) = programs().into_iter().find(|row| row.0 == program).unwrap();
            let script = render(shell, program, command);
            assert!(
                script.contains(program) && script.contains(word),
                "{shell}: {program}: {word}"
            );
        }
    }
}

fn render(shell: Shell, program: &str, mut command: Command) -> String {
    if shell == Shell::Fish {
        command = with_words_as_subcommands(command);
    }
    let mut script = Vec::new();
    generate(shell, &mut command, program, &mut script);
    String::from_utf8(script).unwrap()
}

/// The words that an argument may be, as subcommands: for fish nothing else is rendered.
fn with_words_as_subcommands(command: Command) -> Command {
    let words: Vec<_> = command.get_positionals().flat_map(Arg::get_possible_values).collect();
    let subcommands = words.iter().map(|word| {
        let about = word.get_help().cloned().unwrap_or_default();
        Command::new(&*word.get_name().to_owned().leak()).about(about).disable_help_flag(true)
    });
    command.subcommands(subcommands).disable_help_subcommand(true)
}

fn completions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/completions")
}
