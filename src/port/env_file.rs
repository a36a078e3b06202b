//! `elevenagents.env` and the places where a secret may be: systemd's credentials, the environment, that file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::base::Secret;

/// An env file or a credential beyond this is not read: it is some other file.
pub const ENV_BYTES_MAX: u64 = 64 << 10;

/// Why the file was not read.
#[derive(Debug, thiserror::Error)]
pub enum EnvFileError {
    /// A line is neither `KEY=VALUE`, nor a comment, nor blank.
    #[error("{}: line {line}: {what}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong; no text of the file.
        what: &'static str,
    },
    /// What the system said; larger than [`ENV_BYTES_MAX`], or not UTF-8.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

type Process = Box<dyn Fn(&str) -> Option<String> + Send>;

/// Where settings of the environment are looked up, in this order: `$CREDENTIALS_DIRECTORY/NAME`, the process's
/// environment, the env file. An empty value is as good as none, and the next place is asked.
pub struct Environment {
    credentials: Option<PathBuf>,
    process: Process,
    file: BTreeMap<String, Secret>,
}

impl Environment {
    /// Over the environment of the process; a missing env file is an empty one.
    pub fn of_process(env_file: &Path) -> Result<Self, EnvFileError> {
        Self::new(|name| std::env::var(name).ok(), env_file)
    }

    /// Over a given environment.
    pub fn new(
        process: impl Fn(&str) -> Option<String> + Send + 'static,
        env_file: &Path,
    ) -> Result<Self, EnvFileError> {
        let credentials =
            process("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        Ok(Self { credentials, process: Box::new(process), file: read(env_file)? })
    }

    /// The value of a variable, wherever it is set.
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.credential(name)
            .or_else(|| (self.process)(name))
            .filter(|value| !value.is_empty())
            .map(Secret::new)
            .or_else(|| self.file.get(name).filter(|value| !value.expose().is_empty()).cloned())
    }

    /// The same, for a value that is no secret.
    pub fn text(&self, name: &str) -> Option<String> {
        self.secret(name).map(|value| value.expose().to_owned())
    }

    fn credential(&self, name: &str) -> Option<String> {
        let path = self.credentials.as_ref().filter(|_| is_name(name))?.join(name);
        match read_text(&path) {
            Ok(text) => text
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .filter(|text| !text.is_empty()),
            Err(error) => {
                log::error!("credential {}: {error}", path.display());
                None
            }
        }
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment(***)")
    }
}

/// Reads the file into its variables; the last of two lines with the same key counts.
fn read(path: &Path) -> Result<BTreeMap<String, Secret>, EnvFileError> {
    let file_error = |source| EnvFileError::File { path: path.to_owned(), source };
    let Some(text) = read_text(path).map_err(file_error)? else { return Ok(BTreeMap::new()) };
    if fs::metadata(path).map_err(file_error)?.permissions().mode() & 0o004 != 0 {
        log::warn!("{} can be read by every user of this machine; `chmod 600` it", path.display());
    }
    parse(&text).map_err(|(line, what)| EnvFileError::Syntax { path: path.to_owned(), line, what })
}

fn read_text(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = String::new();
    file.take(ENV_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > ENV_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 KiB"));
    }
    Ok(Some(text))
}

/// `KEY=VALUE` lines as shells and systemd read them: `#` comments, an optional `export `, single quotes for
/// text as it is, double quotes with backslash before `"` `\` `$` and the backquote. Nothing is substituted.
fn parse(text: &str) -> Result<BTreeMap<String, Secret>, (usize, &'static str)> {
    let mut variables = BTreeMap::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let (name, value) = line.split_once('=').ok_or((number, "no `=`"))?;
        let name = name.trim_end();
        if !is_name(name) {
            return Err((number, "before `=` must stand a name of letters, digits and `_`"));
        }
        let value = value_of(value).map_err(|what| (number, what))?;
        variables.insert(name.to_owned(), Secret::new(value));
    }
    Ok(variables)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn value_of(text: &str) -> Result<String, &'static str> {
    let text = text.trim_start();
    if let Some(quoted) = text.strip_prefix('\'') {
        let (value, rest) = quoted.split_once('\'').ok_or("the quote is not closed")?;
        return nothing_but_a_comment(rest).map(|()| value.to_owned());
    }
    let Some(quoted) = text.strip_prefix('"') else {
        // A `#` begins a comment only after a space: keys and passwords may hold one.
        let comment = text
            .char_indices()
            .find(|(at, c)| *c == '#' && !text[..*at].ends_with(|p: char| !p.is_whitespace()));
        let value = &text[..comment.map_or(text.len(), |(at, _)| at)];
        return Ok(value.trim_end().to_owned());
    };
    let mut value = String::new();
    let mut rest = quoted.chars();
    loop {
        match rest.next().ok_or("the quote is not closed")? {
            '"' => return nothing_but_a_comment(rest.as_str()).map(|()| value),
            '\\' => match rest.next().ok_or("the quote is not closed")? {
                escaped @ ('"' | '\\' | '$' | '`') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            plain => value.push(plain),
        }
    }
}

fn nothing_but_a_comment(rest: &str) -> Result<(), &'static str> {
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') {
        Ok(())
    } else {
        Err("there is text after the closing quote")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, String)>, (usize, &'static str)> {
        let pairs = parse(text)?;
        Ok(pairs.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect())
    }

    #[test]
    fn lines_are_read_as_a_shell_would() {
        for (line, value) in [
            ("A=plain", "plain"),
            ("A = spaced", "spaced"),
            ("export A=x", "x"),
            ("  A=x  ", "x"),
            ("A=x # comment", "x"),
            ("A=x#y", "x#y"),
            ("A=two words # c # d", "two words"),
            ("A=", ""),
            ("A=#", ""),
            ("A='it is # \"this\" $HOME \\n'", "it is # \"this\" $HOME \\n"),
            (r#"A="a \"b\" \\ \$c \n #d" # comment"#, r#"a "b" \ $c \n #d"#),
            ("A=first\nA=second", "second"),
            ("A=a=b=", "a=b="),
            ("\u{feff}A=x\r\n", "x"),
            ("# A=no\n\nA=ü", "ü"),
        ] {
            assert_eq!(parsed(line), Ok(vec![("A".into(), value.into())]), "{line:?}");
        }
    }

    #[test]
    fn what_is_no_assignment_is_told_with_its_line() {
        for (line, number) in [
            ("A=1\nhunter2", 2),
            ("1A=x", 1),
            ("=x", 1),
            ("A-B=x", 1),
            ("A='x", 1),
            ("A=\"x\\\"", 1),
            ("A='x' y", 1),
        ] {
            let (at, what) = parsed(line).unwrap_err();
            assert!(at == number && !what.contains("hunter2"), "{line:?}: {at} {what}");
        }
    }

    #[test]
    fn credentials_come_before_the_environment_and_that_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (env_file, credentials) =
            (folder.path().join("elevenagents.env"), folder.path().join("credentials"));
        fs::create_dir(&credentials).unwrap();
        fs::write(&env_file, "A=file\nB=file\nC=file\nD=file\nE=\n").unwrap();
        fs::write(credentials.join("A"), "credential\n").unwrap();
        fs::write(credentials.join("B"), "\n").unwrap();
        fs::write(folder.path().join("outside"), "x").unwrap();
        let of_process = move |name: &str| match name {
            "CREDENTIALS_DIRECTORY" => credentials.to_str().map(str::to_owned),
            "A" | "B" => Some("process".into()),
            "D" => Some(String::new()),
            _ => None,
        };
        let environment = Environment::new(of_process, &env_file).unwrap();
        let texts = ["A", "B", "C", "D", "E", "F", "../outside"].map(|name| environment.text(name));
        let expected = [Some("credential"), Some("process"), Some("file"), Some("file"), None, None, None];
        assert_eq!(texts, expected.map(|text| text.map(str::to_owned)));
    }

    #[test]
    fn a_missing_file_is_empty_and_a_huge_or_binary_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("elevenagents.env");
        assert!(Environment::new(|_| None, &path).unwrap().text("A").is_none());
        for content in [vec![b'#'; ENV_BYTES_MAX as usize + 1], vec![0xff, 0xfe]] {
            fs::write(&path, content).unwrap();
            assert!(matches!(Environment::new(|_| None, &path), Err(EnvFileError::File { .. })));
        }
    }
}
