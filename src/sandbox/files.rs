//! Files by Landlock.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::{Files, Gap};

/// The version of Landlock that can do everything we ask for; Linux 6.12.
///
/// Version 9 can also deny Unix sockets by path, which we do not want: the service manager's is one.
const WANTED: ABI = ABI::V6;

/// What must be readable so that these files can be read again, also when each is replaced by
/// another of the same name, as editors and package managers do: their directories. A pattern
/// stands for the directory above its first wildcard.
///
/// Of files right below `/`, which are for the root directories of containers, only the file
/// itself: its directory would be everything.
pub fn readable(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    for file in files {
        let file = before_wildcard(file);
        // The name, and what it is a link to.
        for name in [Some(file.clone()), fs::canonicalize(&file).ok()].into_iter().flatten() {
            let directory = match name.parent() {
                None => continue,
                Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
                Some(parent) => parent,
            };
            match fs::canonicalize(directory) {
                Ok(directory) if directory.parent().is_none() => found.insert(name),
                Ok(directory) => found.insert(directory),
                Err(_) => false,
            };
        }
    }
    found.into_iter().collect()
}

/// The path up to its first component with a wildcard, and that one.
fn before_wildcard(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        out.push(component);
        if component.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte)) {
            break;
        }
    }
    out
}

/// Restricts this thread and those it starts. What an older kernel lacks is left out; then the
/// version that it has is returned.
///
/// # Errors
///
/// When the kernel has no Landlock, or does not accept the rules.
pub(super) fn restrict(files: &Files) -> Result<Option<i32>, Gap> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    // Whatever is not handled is allowed, so everything is handled, and rules allow what they say.
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?
        .scope(Scope::Signal)?
        .create()?
        .add_rules(beneath(&files.read, read))?
        .add_rules(beneath(&files.write, write))?
        .restrict_self()?;
    let LandlockStatus::Available { effective_abi, .. } = restricted.landlock else {
        return Err(Gap::Missing);
    };
    match restricted.ruleset {
        RulesetStatus::NotEnforced => Err(Gap::Missing),
        _ if effective_abi < WANTED => Ok(Some(effective_abi as i32)),
        _ => Ok(None),
    }
}

fn beneath(
    paths: &[PathBuf],
    access: landlock::BitFlags<AccessFs>,
) -> impl Iterator<Item = Result<PathBeneath<PathFd>, RulesetError>> {
    path_beneath_rules(paths, access)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_stand_for_their_files() {
        let top = fs::canonicalize(std::env::temp_dir()).unwrap();
        let top = top.join(format!("prebound-readable-{}", std::process::id()));
        fs::create_dir_all(top.join("etc/conf.d")).unwrap();
        fs::create_dir_all(top.join("usr")).unwrap();
        fs::write(top.join("usr/real.conf"), "").unwrap();
        std::os::unix::fs::symlink("../usr/real.conf", top.join("etc/link.conf")).unwrap();
        #[rustfmt::skip]
        let cases: &[(&str, &str, &[&str])] = &[
            ("plain",                 "etc/new.conf",      &["etc"]),
            ("link",                  "etc/link.conf",     &["etc", "usr"]),
            ("pattern",               "etc/conf.d/*.conf", &["etc/conf.d"]),
            ("pattern of directories", "etc/*/x.conf",     &["etc"]),
            ("dots",                  "usr/../etc/x",      &["etc"]),
            ("no such directory",     "none/x",            &[]),
        ];
        for (case, file, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|name| top.join(name)).collect();
            assert_eq!(readable(&[top.join(file)]), expected, "{case}");
        }
        let here = fs::canonicalize(".").unwrap();
        assert_eq!(readable(&["x.conf".into()]), [here], "relative");
        assert_eq!(readable(&["/x.conf".into()]), [Path::new("/x.conf")], "in the root directory");
        assert!(readable(&["/".into(), "".into()]).iter().all(|path| path != Path::new("/")));
        fs::remove_dir_all(&top).unwrap();
    }
}
