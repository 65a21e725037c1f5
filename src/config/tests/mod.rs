//! Whole configurations, and laws that hold for all of them.

mod files;
mod laws;
mod syntax;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn read(text: &str) -> Result<Loaded, Errors> {
    load_text(Path::new("test.conf"), text)
}

fn config(text: &str) -> Config {
    read(text).unwrap_or_else(|errors| panic!("{text}\n{errors}")).config
}

fn errors(text: &str) -> String {
    read(text).expect_err(text).to_string()
}

/// A directory of files that is removed when the test ends.
struct Files(PathBuf);

impl Files {
    fn new(test: &str, files: &[(&str, &str)]) -> Self {
        let dir = std::env::temp_dir().join(format!("prebound-{}-{test}", std::process::id()));
        for (name, text) in files {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().expect("parent")).expect("create directory");
            fs::write(path, text).expect("write file");
        }
        Self(dir)
    }

    fn load(&self, name: &str) -> Result<Loaded, Errors> {
        load(Some(&self.0.join(name)))
    }

    /// The mistakes, without the name of the directory.
    fn errors(&self, name: &str) -> String {
        let text = self.load(name).expect_err(name).to_string();
        text.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
