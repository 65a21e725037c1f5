//! Zones in files.

use std::path::Path;

use thiserror::Error;

use super::zone::{Builder, Zone, ZoneError};
use crate::config::{ZoneFileError, ZoneFileErrorKind, read_zone, write_rrset};
use crate::wire::Name;

/// Why a file brings no zone.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read, or something in it is no record.
    #[error(transparent)]
    File(#[from] ZoneFileError),
    /// Its records are no zone.
    #[error(transparent)]
    Zone(#[from] ZoneError),
}

impl FileError {
    /// Whether all that is wrong is that there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::File(ZoneFileError { kind: ZoneFileErrorKind::Unreadable(error), .. })
            if error.kind() == std::io::ErrorKind::NotFound)
    }
}

impl Zone {
    /// The zone `apex` in a file; none when the file has no record of it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or has a mistake.
    pub fn read(path: &Path, apex: &Name) -> Result<Option<Self>, FileError> {
        let mut builder = Builder::new(apex.clone());
        read_zone(path, apex, |record| builder.add(record))?;
        let zone = builder.finish()?;
        Ok(Some(zone).filter(|zone| zone.records() > 0))
    }

    /// The zone as the content of a file, a line for each record: names in canonical order, at each
    /// SOA first, then by type.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.rrsets().for_each(|rrset| write_rrset(&mut text, rrset));
        text
    }
}
