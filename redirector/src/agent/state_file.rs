//! The file that keeps the operator's orders over a restart: read once, replaced as a whole with every change.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::overrides::Document;

/// More than any configuration can fill. A larger file is something else.
const MAX_BYTES: u64 = 16 << 20;
/// Bad files that are kept side by side.
const MAX_BAD: u32 = 100;

/// Where the file is, and whether it may be written.
#[derive(Debug, Clone)]
pub(super) struct StateFile {
    path: PathBuf,
    /// Why what is there must not be replaced.
    locked: Option<String>,
}

/// What was found at the start.
#[derive(Debug)]
pub(super) struct Found {
    pub document: Document,
    /// A sentence, if the file was there and is of no use.
    pub warning: Option<String>,
}

impl StateFile {
    /// Reads the file. One that cannot be used is moved aside; one that cannot be moved either is never written.
    pub(super) fn open(path: &Path) -> (Self, Found) {
        let mut file = Self { path: path.to_owned(), locked: None };
        let document = match read(path) {
            Ok(None) => Ok(Document::default()),
            Ok(Some(bytes)) => Document::parse(&bytes).map_err(|why| why.to_string()),
            Err(error) => Err(format!("it cannot be read ({error})")),
        };
        let found = match document {
            Ok(document) => Found { document, warning: None },
            Err(why) => Found { document: Document::default(), warning: Some(file.give_up(&why)) },
        };
        (file, found)
    }

    fn give_up(&mut self, why: &str) -> String {
        let shown = self.path.display();
        let beginning =
            format!("the state file {shown} is not used: {why}; weights and states are as configured");
        match move_aside(&self.path) {
            Ok(aside) => format!("{beginning}; the file is now {}", aside.display()),
            Err(error) => {
                self.locked = Some(format!("what is at {shown} is no state file and cannot be moved aside"));
                format!("{beginning}; it cannot be moved aside ({error}), so nothing will be written there")
            }
        }
    }

    /// Replaces the file, so that at any moment it is either the old one or the new one, also after a power failure.
    pub(super) fn write(&self, document: &Document) -> Result<(), String> {
        if let Some(reason) = &self.locked {
            return Err(reason.clone());
        }
        let failed = |error: io::Error| format!("cannot write {}: {error}", self.path.display());
        let text = document.render().map_err(|error| failed(error.into()))?;
        replace(&self.path, &text).map_err(failed)
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        // Opening a pipe would wait for its other end.
        Ok(metadata) if !metadata.is_file() => return Err(not_a_file()),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_BYTES} bytes")));
    }
    Ok(Some(bytes))
}

/// To the first free name of `<name>.bad`, `<name>.bad.1` and so on.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    // A device or a directory is somebody else's.
    if !fs::metadata(path)?.is_file() {
        return Err(not_a_file());
    }
    let names = (0..MAX_BAD).map(|number| match number {
        0 => with_suffix(path, ".bad"),
        _ => with_suffix(path, &format!(".bad.{number}")),
    });
    for aside in names {
        if fs::symlink_metadata(&aside).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            fs::rename(path, &aside)?;
            return Ok(aside);
        }
    }
    Err(io::Error::other("there are too many bad ones beside it"))
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(not_a_file());
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let new = with_suffix(path, ".new");
    // An agent that was killed in the middle has left it.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let written = write_through(&new, text).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // The failure is what is reported, not that its rest could not be removed.
        let _ = fs::remove_file(&new);
    }
    written?;
    File::open(folder)?.sync_all()
}

fn write_through(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn not_a_file() -> io::Error {
    io::Error::other("it is not an ordinary file")
}

#[cfg(test)]
#[path = "state_file_tests.rs"]
#[expect(clippy::unwrap_used, reason = "a test may fail loudly")]
mod tests;
