//! `config.json`: read as a whole, replaced as a whole, and never written over someone else's change.
//!
//! What was last read travels as a [`Seen`] to whoever writes; a write is refused when the file is not that any
//! more. A replacement is complete on disk beside the file ([`ConfigFile::prepare`], where a full disk shows)
//! before it is put in its place ([`Prepared::put_in_place`]).

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::whole_file::{self, Beside};

/// A configuration beyond this is not read: it is some other file.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// The content of the file when it was last read or written; `None`: there was none. It holds the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen(Option<Vec<u8>>);

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seen(***)")
    }
}

/// Why the file was not read or written. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// Not JSON, or not an object. The service must say so and leave the file to its author.
    #[error("{} is not valid: line {line}, column {column}: {what}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1; 0 where a line is not even begun.
        column: usize,
        /// What was expected there; no text of the file.
        what: String,
    },
    /// Larger than [`CONFIG_BYTES_MAX`].
    #[error("{} is larger than {CONFIG_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// Someone else wrote it since it was last read.
    #[error("{} was changed on disk meanwhile", .0.display())]
    Changed(PathBuf),
    /// What the system said.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> ConfigFileError {
    let path = path.to_owned();
    move |source| ConfigFileError::File { path: path.clone(), source }
}

/// Reads the configuration. A missing or blank file is an empty object: every key has its default.
pub fn read(path: &Path) -> Result<(Map<String, Value>, Seen), ConfigFileError> {
    let seen = Seen(content(path)?);
    let bytes = seen.0.as_deref().unwrap_or_default();
    if bytes.trim_ascii().is_empty() {
        return Ok((Map::new(), seen));
    }
    let object = serde_json::from_slice(bytes).map_err(|error| ConfigFileError::Syntax {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
        what: what_of(&error),
    })?;
    Ok((object, seen))
}

/// The reason without its place, which is told apart, and without the value that was found: it may be a password.
fn what_of(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => "the file must hold one JSON object".into(),
        serde_json::error::Category::Eof => "the file ends too early".into(),
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
            let text = error.to_string();
            text.split(" at line ").next().unwrap_or("a syntax error").to_owned()
        }
    }
}

fn content(path: &Path) -> Result<Option<Vec<u8>>, ConfigFileError> {
    whole_file::read(path, CONFIG_BYTES_MAX).map_err(|error| {
        if error.kind() == io::ErrorKind::FileTooLarge {
            ConfigFileError::TooLarge(path.to_owned())
        } else {
            file_error(path)(error)
        }
    })
}

/// The writing side: the path, and the content on which the next replacement may be built.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    /// `None` until the file could be read: then it is never written.
    seen: Option<Seen>,
}

/// A replacement that is complete on disk beside the file. Dropped, it is removed.
#[derive(Debug)]
pub struct Prepared<'file> {
    file: &'file mut ConfigFile,
    /// The file itself, where `path` is a symbolic link to it.
    target: PathBuf,
    beside: Beside,
    content: Vec<u8>,
}

impl ConfigFile {
    /// `seen` as `read` gave it, or `None` when it failed: then every write is refused until `was_read`.
    pub fn new(path: PathBuf, seen: Option<Seen>) -> Self {
        Self { path, seen }
    }

    /// The file was read again, and what comes from now on is built on that.
    pub fn was_read(&mut self, seen: Seen) {
        self.seen = Some(seen);
    }

    /// Checks that nobody changed the file, and writes `text` beside it, synced, 0600; a missing folder is made.
    pub fn prepare(&mut self, text: &str) -> Result<Prepared<'_>, ConfigFileError> {
        if Some(Seen(content(&self.path)?)) != self.seen {
            return Err(ConfigFileError::Changed(self.path.clone()));
        }
        let target = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        if let Some(folder) = target.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(file_error(folder))?;
        }
        let written = Beside::write(&target, text).and_then(|beside| {
            beside.sync()?;
            Ok(beside)
        });
        let beside = written.map_err(file_error(&target))?;
        Ok(Prepared { file: self, target, beside, content: text.as_bytes().to_vec() })
    }
}

impl Prepared<'_> {
    /// Puts the replacement in the file's place, and the change of the folder on the disk.
    pub fn put_in_place(self) -> Result<(), ConfigFileError> {
        let Self { file, target, beside, content } = self;
        beside.put_in_place().map_err(file_error(&target))?;
        file.seen = Some(Seen(Some(content)));
        whole_file::sync_folder_of(&target).map_err(file_error(&target))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn replace(file: &mut ConfigFile, text: &str) -> Result<(), ConfigFileError> {
        file.prepare(text)?.put_in_place()
    }

    #[test]
    fn a_missing_or_blank_file_is_an_empty_object() {
        let folder = folder();
        let path = folder.path().join("config.json");
        assert!(read(&path).unwrap().0.is_empty());
        fs::write(&path, " \n").unwrap();
        assert!(read(&path).unwrap().0.is_empty());
    }

    #[test]
    fn broken_json_is_told_with_its_place_and_without_its_content_and_never_written_over() {
        let folder = folder();
        let path = folder.path().join("config.json");
        for (text, place) in [
            ("{\n  \"sip_password\": hunter2\n}", "line 2, column 19"),
            ("{\"sip_password\": \"hunter2\"", "line 1, column 26"),
            ("[\"hunter2\"]", "line 1, column 0"),
            ("\"hunter2\"", "line 1, column 9"),
            ("{\"a\": 1} hunter2", "line 1, column 10"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(place) && !error.contains("hunter2"), "{error}");
            let mut file = ConfigFile::new(path.clone(), None);
            assert!(matches!(replace(&mut file, "{}"), Err(ConfigFileError::Changed(_))));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, vec![b' '; CONFIG_BYTES_MAX as usize + 1]).unwrap();
        assert!(matches!(read(&path), Err(ConfigFileError::TooLarge(_))));
    }

    #[test]
    fn a_replacement_is_private_complete_and_read_back() {
        let parent = folder();
        let folder = parent.path().join("callscoot");
        let path = folder.join("config.json");
        let mut file = ConfigFile::new(path.clone(), Some(read(&path).unwrap().1));
        replace(&mut file, "{\"sip_port\":5070}").unwrap();
        fs::write(folder.join("config.json.new"), "left by a crash").unwrap();
        replace(&mut file, "{\"sip_port\":5071}").unwrap();
        assert_eq!(read(&path).unwrap().0["sip_port"], 5071);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(file.prepare("{}").unwrap());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_change_by_someone_else_is_kept_until_it_was_read() {
        let folder = folder();
        let path = folder.path().join("config.json");
        let mut file = ConfigFile::new(path.clone(), Some(read(&path).unwrap().1));
        replace(&mut file, "{\"a\":1}").unwrap();
        // Same size, and perhaps the same time stamp.
        fs::write(&path, "{\"a\":2}").unwrap();
        assert!(matches!(replace(&mut file, "{\"a\":3}"), Err(ConfigFileError::Changed(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":2}");
        file.was_read(read(&path).unwrap().1);
        replace(&mut file, "{\"a\":3}").unwrap();
        fs::remove_file(&path).unwrap();
        assert!(matches!(replace(&mut file, "{\"a\":4}"), Err(ConfigFileError::Changed(_))));
        assert!(!path.exists());
    }

    #[test]
    fn a_file_behind_a_symbolic_link_is_replaced_where_it_is() {
        let folder = folder();
        let (real, link) = (folder.path().join("dotfiles.json"), folder.path().join("config.json"));
        fs::write(&real, "{}").unwrap();
        symlink(&real, &link).unwrap();
        let mut file = ConfigFile::new(link.clone(), Some(read(&link).unwrap().1));
        replace(&mut file, "{\"a\":1}").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "{\"a\":1}");
    }
}
