//! Keys in files, as czmq and pyzmq keep them: a public file to hand out, and a secret one that stays.
//!
//! Reads and writes files; what stands in them is `text`'s.

mod text;

use super::{KeyError, PublicKey, SecretKey};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A public key, its secret half unless it is somebody else's, and what is noted about them, as files have them.
///
/// czmq and pyzmq (`zmq.auth`) keep keys in two text files: `NAME.key`, which has the public key and is handed out, and
/// `NAME.key_secret`, which has both. They read what is written here, and the other way round. The form is ZPL
/// ([RFC 4](https://rfc.zeromq.org/spec/4/)), with the keys in Z85.
///
/// ```
/// use peermq::{Certificate, IfExists};
///
/// # let folder = std::env::temp_dir().join(format!("peermq-doc-certificate-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let mine = Certificate::generate()?.with_metadata("name", "Alice")?;
/// mine.save_secret(folder.join("alice.key_secret"), IfExists::Refuse)?;
/// mine.save_public(folder.join("alice.key"), IfExists::Refuse)?;
///
/// let secret = Certificate::load(folder.join("alice.key_secret"))?;
/// assert_eq!(secret.public(), mine.public());
/// assert!(secret.secret().is_some());
///
/// let allowed = Certificate::load_folder(&folder)?;
/// assert!(allowed.contains(&mine.public()));
///
/// assert!(mine.save_public(folder.join("alice.key"), IfExists::Refuse).is_err());
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Certificate {
    public: PublicKey,
    /// The other half of `public`.
    secret: Option<SecretKey>,
    /// In the order of the file; names without spaces, values on one line and without double quotes.
    metadata: Vec<(String, String)>,
}

/// What to do if there is a file of that name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// Leave it, and fail with [`io::ErrorKind::AlreadyExists`].
    Refuse,
    /// Put the new one in its place, whole: nobody sees half of it.
    Replace,
}

/// Why a certificate is not read, or not written. It holds nothing of a secret key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or the folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is no certificate.
    #[error("{}: {}{why}", path.display(), in_line(*.line))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Its line, counted from 1, if it is one line's fault.
        line: Option<usize>,
        /// What is wrong there.
        why: String,
    },
    /// A secret file was to be written, and the certificate has no secret key.
    #[error("the certificate has no secret key to write")]
    NoSecret,
}

/// Why something cannot be noted in a certificate: no file could say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMetadata {
    /// A name has letters, digits and `$ - _ @ . & + /`, and at least one of them.
    #[error("the name of something in a certificate has letters, digits and $-_@.&+/ only")]
    Name,
    /// A value stands on one line, between double quotes.
    #[error("a value in a certificate has no double quotes and no control characters")]
    Value,
}

impl Certificate {
    /// Makes a new pair of keys.
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    pub fn generate() -> Result<Certificate, KeyError> {
        SecretKey::generate().map(Certificate::from)
    }

    /// Reads a file of either kind.
    ///
    /// Whoever may read a secret file has its key; pyzmq writes it for all users, so this is not looked at.
    ///
    /// # Errors
    ///
    /// The file cannot be read; is over 64 KiB long; is no text of this form; has no public key, or one that is not its secret
    /// key's.
    pub fn load(path: impl AsRef<Path>) -> Result<Certificate, CertificateError> {
        let path = path.as_ref();
        // As large as it gets, so that it does not move and leave a copy.
        let mut bytes = Zeroizing::new(Vec::with_capacity(LIMIT_BYTES + 1));
        File::open(path)
            .and_then(|file| file.take(LIMIT_BYTES as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| CertificateError::io(path, error))?;
        let parsed = match bytes.len() {
            ..=LIMIT_BYTES => text::parse(&bytes),
            _ => Err(text::Wrong::file("it has more than 64 KiB")),
        };
        parsed.map_err(|wrong| CertificateError::Invalid {
            path: path.to_owned(),
            line: wrong.line,
            why: wrong.why,
        })
    }

    /// Reads the public keys of all files `*.key` in a folder, but hidden ones: those of whom a server lets in, as pyzmq's
    /// `configure_curve(location=...)` has them.
    ///
    /// # Errors
    ///
    /// The folder or one of the files cannot be read, or is no certificate. Nobody is left out silently.
    pub fn load_folder(path: impl AsRef<Path>) -> Result<BTreeSet<PublicKey>, CertificateError> {
        let folder = path.as_ref();
        let mut keys = BTreeSet::new();
        for entry in fs::read_dir(folder).map_err(|error| CertificateError::io(folder, error))? {
            let path = entry.map_err(|error| CertificateError::io(folder, error))?.path();
            let is_hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !is_hidden && path.extension().is_some_and(|extension| extension == "key") {
                keys.insert(Certificate::load(path)?.public);
            }
        }
        Ok(keys)
    }

    /// Returns the public key.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Returns the secret key, unless it is somebody else's.
    pub fn secret(&self) -> Option<&SecretKey> {
        self.secret.as_ref()
    }

    /// Gives the secret key away, unless it is somebody else's.
    pub fn into_secret(self) -> Option<SecretKey> {
        self.secret
    }

    /// Returns what is noted, name and value, in its order.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata.iter().map(|(name, value)| (&name[..], &value[..]))
    }

    /// Notes something in both files, like a name or an address; a second one of the same name takes the place of the first.
    ///
    /// # Errors
    ///
    /// A file could not say it.
    pub fn with_metadata(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Certificate, InvalidMetadata> {
        let (name, value) = (name.into(), value.into());
        if !text::is_name(&name) {
            return Err(InvalidMetadata::Name);
        }
        if !text::is_value(&value) {
            return Err(InvalidMetadata::Value);
        }
        self.note(name, value);
        Ok(self)
    }

    /// What stands in a file of either kind; `None`: it is none.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn of_text(bytes: &[u8]) -> Option<Certificate> {
        text::parse(bytes).ok()
    }

    /// What stands in both of its files.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn texts(&self) -> (String, Option<Zeroizing<String>>) {
        (text::public_file(self), text::secret_file(self))
    }

    fn note(&mut self, name: String, value: String) {
        match self.metadata.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.metadata.push((name, value)),
        }
    }

    /// Writes the file that is handed out: the public key, and what is noted.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or is there already and is not to be replaced.
    pub fn save_public(&self, path: impl AsRef<Path>, if_exists: IfExists) -> Result<(), CertificateError> {
        save(path.as_ref(), &text::public_file(self), PUBLIC_MODE, if_exists)
    }

    /// Writes the file that stays: both keys, and what is noted. Only its owner may read it, from the first moment on.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or is there already and is not to be replaced; or the certificate has no secret key.
    pub fn save_secret(&self, path: impl AsRef<Path>, if_exists: IfExists) -> Result<(), CertificateError> {
        let text = text::secret_file(self).ok_or(CertificateError::NoSecret)?;
        save(path.as_ref(), &text, SECRET_MODE, if_exists)
    }
}

/// Of one's own.
impl From<SecretKey> for Certificate {
    fn from(secret: SecretKey) -> Certificate {
        Certificate {
            public: secret.public(),
            secret: Some(secret),
            metadata: Vec::new(),
        }
    }
}

/// Of somebody else.
impl From<PublicKey> for Certificate {
    fn from(public: PublicKey) -> Certificate {
        Certificate {
            public,
            secret: None,
            metadata: Vec::new(),
        }
    }
}

impl CertificateError {
    fn io(path: &Path, error: io::Error) -> CertificateError {
        CertificateError::Io {
            path: path.to_owned(),
            error,
        }
    }
}

fn save(path: &Path, text: &str, mode: u32, if_exists: IfExists) -> Result<(), CertificateError> {
    match if_exists {
        IfExists::Refuse => create(path, text, mode),
        IfExists::Replace => {
            let mut beside = path.as_os_str().to_owned();
            beside.push(".new");
            let beside = PathBuf::from(beside);
            // One that is there was left by who did not come to the end.
            let _ = fs::remove_file(&beside);
            create(&beside, text, mode)?;
            fs::rename(&beside, path).map_err(|error| {
                let _ = fs::remove_file(&beside);
                CertificateError::io(path, error)
            })
        }
    }
}

/// A file that was not there; or it is not there now.
fn create(path: &Path, text: &str, mode: u32) -> Result<(), CertificateError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = options.open(path).map_err(|error| CertificateError::io(path, error))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        let _ = fs::remove_file(path);
        CertificateError::io(path, error)
    })
}

fn in_line(line: Option<usize>) -> String {
    line.map(|line| format!("line {line}: ")).unwrap_or_default()
}

/// No certificate is as long; who reads a larger file has taken the wrong one.
const LIMIT_BYTES: usize = 64 * 1024;

const PUBLIC_MODE: u32 = 0o644;
const SECRET_MODE: u32 = 0o600;

#[cfg(all(test, not(loom)))]
mod tests;
