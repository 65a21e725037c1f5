//! What the Debian and the RPM package contain: the same, and everything they should.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Directories that have another name in the world of RPM.
const RENAMED: [(&str, &str); 1] =
    [("usr/share/zsh/vendor-completions/", "usr/share/zsh/site-functions/")];
/// Listed for the RPM alone: cargo-deb makes it the file `copyright`, as `license-file` says.
const LICENSE: &str = "usr/share/doc/prebound/LICENSE-MIT";
/// Systemd starts it, nobody types its name.
const GENERATOR: &str = "prebound-generator";

/// Where a file is installed: what it is in the repository, and its mode.
type Files = BTreeMap<String, (String, String)>;

#[test]
fn both_packages_have_the_same_files() {
    let mut expected: Files = debian()
        .into_iter()
        .map(|(path, file)| {
            let renamed = RENAMED
                .iter()
                .find_map(|(from, to)| path.strip_prefix(from).map(|name| format!("{to}{name}")));
            (renamed.unwrap_or(path), file)
        })
        .collect();
    expected.insert(LICENSE.to_owned(), ("LICENSE-MIT".to_owned(), "644".to_owned()));
    assert_eq!(rpm(), expected);
    let license =
        metadata("deb")["license-file"].as_array().unwrap()[0].as_str().unwrap().to_owned();
    assert_eq!(license, "LICENSE-MIT");
}

#[test]
fn both_packages_ask_before_they_overwrite_the_same_files() {
    let debian: BTreeSet<String> = metadata("deb")["conf-files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| path.as_str().unwrap().to_owned())
        .collect();
    let rpm: BTreeSet<String> = metadata("generate-rpm")["assets"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row.get("config").and_then(Value::as_str) == Some("noreplace"))
        .flat_map(|row| installed(text(row, "source"), text(row, "dest")))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(debian, rpm);
    assert!(rpm.iter().all(|path| path.starts_with("/etc/")) && !rpm.is_empty(), "{rpm:?}");
}

#[test]
fn every_program_is_packaged_with_its_manual_and_completions() {
    let files = debian();
    for program in fs::read_dir(root().join("src/bin")).unwrap() {
        let program = program.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        let binary = (format!("target/release/{program}"), "755".to_owned());
        if program == GENERATOR {
            let path = format!("usr/lib/systemd/system-generators/{program}");
            assert_eq!(files.get(&path), Some(&binary));
            continue;
        }
        assert_eq!(files.get(&format!("usr/sbin/{program}")), Some(&binary));
        for path in [
            format!("usr/share/man/man8/{program}.8"),
            format!("usr/share/bash-completion/completions/{program}"),
            format!("usr/share/fish/vendor_completions.d/{program}.fish"),
            format!("usr/share/zsh/vendor-completions/_{program}"),
        ] {
            assert!(files.contains_key(&path), "{path}");
        }
    }
}

/// A unit that a maintainer script forgets goes on running after the package is removed.
#[test]
fn every_unit_is_packaged_and_stopped_at_the_removal() {
    let files = debian();
    let scripts = ["debian/prerm", "rpm/preun"].map(|name| {
        let text = fs::read_to_string(root().join("packaging").join(name)).unwrap();
        let words = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '='));
        (name, words.map(str::to_owned).collect::<BTreeSet<_>>())
    });
    let mut seen = 0;
    for entry in fs::read_dir(root().join("systemd")).unwrap() {
        let unit = entry.unwrap().file_name().into_string().unwrap();
        if !(unit.ends_with(".service") || unit.ends_with(".socket")) {
            continue;
        }
        seen += 1;
        assert!(files.contains_key(&format!("usr/lib/systemd/system/{unit}")), "{unit}");
        for (name, words) in &scripts {
            assert!(words.contains(&unit), "{name}: {unit}");
        }
    }
    assert!(seen > 3, "{seen} units");
}

/// Source, target, and what is installed where.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

#[test]
fn patterns_are_expanded_to_what_is_there() {
    #[rustfmt::skip]
    let cases: [Case<'_>; 4] = [
        ("README.md",            "usr/share/doc/",    &[("usr/share/doc/README.md", "README.md")]),
        ("README.md",            "usr/share/doc/a",   &[("usr/share/doc/a", "README.md")]),
        ("target/release/never", "usr/sbin/",         &[("usr/sbin/never", "target/release/never")]),
        ("LICENSE-[AM]*",        "x/",
            &[("x/LICENSE-APACHE", "LICENSE-APACHE"), ("x/LICENSE-MIT", "LICENSE-MIT")]),
    ];
    for (source, target, expected) in cases {
        let found = installed(source, target);
        let found: Vec<_> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(found, expected, "{source}");
    }
}

fn debian() -> Files {
    let mut files = Files::new();
    for row in metadata("deb")["assets"].as_array().unwrap() {
        let row: Vec<_> =
            row.as_array().unwrap().iter().map(|cell| cell.as_str().unwrap()).collect();
        let [source, target, mode] = row[..] else { panic!("{row:?}") };
        add(&mut files, source, target, mode);
    }
    files
}

fn rpm() -> Files {
    let mut files = Files::new();
    for row in metadata("generate-rpm")["assets"].as_array().unwrap() {
        let target = text(row, "dest").strip_prefix('/').unwrap();
        add(&mut files, text(row, "source"), target, text(row, "mode"));
    }
    files
}

fn add(files: &mut Files, source: &str, target: &str, mode: &str) {
    for (path, file) in installed(source, target) {
        let before = files.insert(path.clone(), (file, mode.to_owned()));
        assert!(before.is_none(), "{path} is there twice");
    }
}

/// Each file that a row stands for: where it is installed, and what it is in the repository.
fn installed(source: &str, target: &str) -> Vec<(String, String)> {
    let files: Vec<String> = if source.starts_with("target/") {
        vec![source.to_owned()]
    } else {
        glob::glob(root().join(source).to_str().unwrap())
            .unwrap()
            .map(|path| path.unwrap().strip_prefix(root()).unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    assert!(!files.is_empty(), "{source}: there is no such file");
    let place = |file: &str| match target.ends_with('/') {
        true => format!("{target}{}", file.rsplit('/').next().unwrap()),
        false => target.to_owned(),
    };
    files.into_iter().map(|file| (place(&file), file)).collect()
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("{key}: {row:?}"))
}

fn metadata(of: &str) -> Table {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: Table = toml::from_str(&manifest).unwrap();
    manifest["package"]["metadata"][of].as_table().unwrap().clone()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
