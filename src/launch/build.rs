//! `cargo run` builds one program; we are three.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::NAME;
use super::error::LaunchError;
use crate::logging::say;

/// Variables that cargo sets for what it runs. They are not for another cargo: build scripts watch
/// some of them, and everything would be built again.
const NOT_FOR_CARGO: &[&str] = &["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];

/// Builds the siblings of this program if it is run by cargo; otherwise they are taken as they are.
pub(super) fn siblings(this: &Path) -> Result<(), LaunchError> {
    let (Some(cargo), Some(manifest)) =
        (std::env::var_os("CARGO"), std::env::var_os("CARGO_MANIFEST_DIR"))
    else {
        return Ok(());
    };
    let Some(place) = Place::of(this) else { return Ok(()) };
    let arguments = place.arguments(Path::new(&manifest));
    say(
        NAME,
        format_args!(
            "building the other programs (cargo build --bins --profile {})",
            place.profile
        ),
    );
    let mut command = Command::new(&cargo);
    command.args(arguments);
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if NOT_FOR_CARGO.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&variable);
        }
    }
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(LaunchError::Build(status)),
        Err(source) => Err(LaunchError::Run { program: cargo.into(), source }),
    }
}

/// Where cargo put this program: `TARGET_DIR[/TRIPLE]/PROFILE/prebound-launch`.
#[derive(Debug, Eq, PartialEq)]
struct Place {
    target_dir: PathBuf,
    triple: Option<OsString>,
    profile: String,
}

impl Place {
    fn of(this: &Path) -> Option<Self> {
        let directory = this.parent()?;
        if !directory.join(".fingerprint").is_dir() {
            return None;
        }
        let profile = match directory.file_name()?.to_str()? {
            "debug" => "dev",
            other => other,
        };
        let profile = profile.to_owned();
        let above = directory.parent()?;
        // Cargo marks the root of what it writes as a cache.
        if above.join("CACHEDIR.TAG").is_file() {
            return Some(Self { target_dir: above.to_owned(), triple: None, profile });
        }
        let root = above.parent().filter(|root| root.join("CACHEDIR.TAG").is_file())?;
        let triple = Some(above.file_name()?.to_owned());
        Some(Self { target_dir: root.to_owned(), triple, profile })
    }

    fn arguments(&self, manifest: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            vec!["build".into(), "--bins".into(), "--profile".into(), (&self.profile).into()];
        arguments.extend(["--manifest-path".into(), manifest.join("Cargo.toml").into()]);
        arguments.extend(["--target-dir".into(), self.target_dir.clone().into()]);
        if let Some(triple) = &self.triple {
            arguments.extend(["--target".into(), triple.clone()]);
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A directory that looks like cargo's, gone at the end.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let name = format!("prebound-build-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn with(self, directories: &[&str], tag: &str) -> Self {
            for directory in directories {
                fs::create_dir_all(self.0.join(directory)).unwrap();
            }
            fs::write(self.0.join(tag), "").unwrap();
            self
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn where_cargo_put_us_says_how_to_build_the_others() {
        let tree = Tree::new("plain").with(&["release/.fingerprint"], "CACHEDIR.TAG");
        let place = Place::of(&tree.0.join("release/prebound-launch")).unwrap();
        assert_eq!((&*place.profile, &place.target_dir), ("release", &tree.0));
        let arguments = place.arguments(Path::new("/src"));
        let words: Vec<_> = arguments.iter().map(|word| word.to_str().unwrap()).collect();
        let target = tree.0.to_str().unwrap();
        assert_eq!(words[..4], ["build", "--bins", "--profile", "release"]);
        assert_eq!(words[4..], ["--manifest-path", "/src/Cargo.toml", "--target-dir", target]);

        let tree = Tree::new("triple").with(&["some-triple/debug/.fingerprint"], "CACHEDIR.TAG");
        let place = Place::of(&tree.0.join("some-triple/debug/prebound-launch")).unwrap();
        assert_eq!((&*place.profile, &place.target_dir), ("dev", &tree.0));
        let arguments = place.arguments(Path::new("/src"));
        assert_eq!(arguments[8..], ["--target", "some-triple"]);
    }

    #[test]
    fn an_installed_program_builds_nothing() {
        let tree = Tree::new("installed").with(&["bin"], "CACHEDIR.TAG");
        assert_eq!(Place::of(&tree.0.join("bin/prebound-launch")), None);
        assert_eq!(Place::of(Path::new("/usr/sbin/prebound-launch")), None);
    }
}
