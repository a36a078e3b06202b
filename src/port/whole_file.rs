//! A small file of the program's own that is read as a whole and replaced as a whole: never empty, never half.
//!
//! A replacement is first written beside the file, where a full disk shows, and then renamed into its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Its bytes; `None` when there is no such file. More of them are an error: `FileTooLarge`.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    if file.take(bytes_max + 1).read_to_end(&mut bytes)? as u64 > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Some(bytes))
}

/// Puts a text in the file's place, readable by its owner alone, on disk when this returns.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = Beside::write(path, text)?;
    beside.sync()?;
    beside.put_in_place()?;
    sync_folder_of(path)
}

/// A replacement, complete beside the file it is for. Dropped, it is removed.
#[derive(Debug)]
pub struct Beside {
    target: PathBuf,
    beside: PathBuf,
    file: File,
    placed: bool,
}

impl Beside {
    /// Writes it, readable by its owner alone. It need not be on the disk yet: see `sync`.
    pub fn write(target: &Path, text: &str) -> io::Result<Self> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let beside = target.with_file_name(name);
        // One left by a crash is in the way of `create_new`, which refuses to follow a link.
        let _ = fs::remove_file(&beside);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        let mut written = Self { target: target.to_owned(), beside, file, placed: false };
        written.file.write_all(text.as_bytes())?;
        Ok(written)
    }

    /// Waits until its content is on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Readers find it from now on. After a power cut the old one may be back until `sync_folder_of`.
    pub fn put_in_place(mut self) -> io::Result<()> {
        fs::rename(&self.beside, &self.target)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// Waits until what a file is called is on the disk.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_text_is_replaced_as_a_whole_and_a_failure_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("phones.json");
        assert_eq!(read(&path, 10).unwrap(), None);
        fs::write(folder.path().join("phones.json.new"), "half").unwrap();
        replace(&path, "one").unwrap();
        replace(&path, "two").unwrap();
        assert_eq!(read(&path, 3).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path, 2).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(replace(&folder.path().join("no/such"), "x").is_err());
        assert!(replace(folder.path(), "x").is_err(), "a folder is no file");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_put_in_place_leaves_nothing_and_a_link_beside_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("other"));
        fs::write(&path, "old").unwrap();
        fs::write(&other, "mine").unwrap();
        symlink(&other, folder.path().join("a.new")).unwrap();
        let beside = Beside::write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        drop(beside);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        Beside::write(&path, "new").unwrap().put_in_place().unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), fs::read_to_string(&other).unwrap()),
            ("new".into(), "mine".into())
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
