//! Runs every scenario of `tests/scenarios/` in simulated time: mesh, iterator, validator and cache
//! among the servers of a miniature Internet. No socket, no thread, no real clock.
//!
//! `SCENARIO=words cargo test --test scenarios` runs only those whose title contains the words.

use std::fs;
use std::path::{Path, PathBuf};

use prebound::lab::{Scenario, Sim};

/// Whatever random choices are made, the outcome has to be the same.
const SEEDS: [u64; 3] = [1, 2, 3];

#[expect(clippy::unwrap_used, reason = "a test without its files has failed")]
fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = fs::read_dir(&directory).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

#[test]
fn scenarios() {
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let mut failed = Vec::new();
    let mut count = 0;
    for path in files() {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let scenarios = Scenario::read_all(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        for scenario in scenarios.iter().filter(|scenario| scenario.title.contains(&only)) {
            count += 1;
            let run = SEEDS.iter().try_for_each(|seed| {
                let mut sim = Sim::new(scenario, *seed).map_err(|error| error.to_string())?;
                scenario.run(&mut sim).map_err(|failure| format!("{failure}\n  seed {seed}"))
            });
            if let Err(why) = run {
                failed.push(format!("{file}: {why}"));
            }
        }
    }
    assert!(failed.is_empty(), "{} of {count}:\n\n{}", failed.len(), failed.join("\n\n"));
    assert!(count > 0, "no scenario has {only:?} in its title");
}
