use super::*;
use std::error::Error;
use std::os::unix::fs::PermissionsExt;

type Outcome = Result<(), Box<dyn Error>>;

const PUBLIC: &str = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
const SECRET: &str = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";

/// A folder of a test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> io::Result<Folder> {
        let path = std::env::temp_dir().join(format!("peermq-certificate-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path)?;
        Ok(Folder(path))
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn alice() -> Certificate {
    let secret: SecretKey = SECRET.parse().unwrap();
    let alice = Certificate::from(secret).with_metadata("name", "Alice # 1").unwrap();
    alice.with_metadata("role", "it's hers").unwrap()
}

fn mode(path: &Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

#[test]
fn what_is_written_is_read() -> Outcome {
    let folder = Folder::new("round")?;
    let (public, secret) = (folder.0.join("alice.key"), folder.0.join("alice.key_secret"));

    alice().save_public(&public, IfExists::Refuse)?;
    alice().save_secret(&secret, IfExists::Refuse)?;

    for (path, has_secret) in [(&public, false), (&secret, true)] {
        let read = Certificate::load(path)?;
        assert_eq!(read.public().to_string(), PUBLIC);
        assert_eq!(
            read.metadata().collect::<Vec<_>>(),
            [("name", "Alice # 1"), ("role", "it's hers")]
        );
        assert_eq!(read.secret().is_some(), has_secret);
        assert_eq!(
            read.into_secret()
                .map(|secret| secret.expose_z85().to_string() == SECRET),
            has_secret.then_some(true)
        );
    }
    assert!(!fs::read_to_string(public)?.contains("secret"));
    Ok(())
}

#[test]
fn only_its_owner_reads_a_secret_file() -> Outcome {
    let folder = Folder::new("mode")?;
    let path = folder.0.join("alice.key_secret");

    alice().save_secret(&path, IfExists::Refuse)?;
    assert_eq!(mode(&path)?, 0o600);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    alice().save_secret(&path, IfExists::Replace)?;
    assert_eq!(mode(&path)?, 0o600);
    Ok(())
}

#[test]
fn a_file_is_replaced_only_if_asked_for() -> Outcome {
    let folder = Folder::new("replace")?;
    let path = folder.file("alice.key", "what was there")?;

    let error = alice().save_public(&path, IfExists::Refuse).unwrap_err();
    assert!(matches!(&error, CertificateError::Io { error, .. } if error.kind() == io::ErrorKind::AlreadyExists));
    assert_eq!(fs::read_to_string(&path)?, "what was there");

    alice().save_public(&path, IfExists::Replace)?;
    assert_eq!(Certificate::load(&path)?.public().to_string(), PUBLIC);
    assert_eq!(fs::read_dir(&folder.0)?.count(), 1);
    Ok(())
}

#[test]
fn somebody_elses_has_no_secret_file() -> Outcome {
    let folder = Folder::new("other")?;
    let other = Certificate::from(alice().public());

    let error = other.save_secret(folder.0.join("other.key_secret"), IfExists::Refuse);

    assert!(matches!(error, Err(CertificateError::NoSecret)));
    assert_eq!(fs::read_dir(&folder.0)?.count(), 0);
    Ok(())
}

/// As `zmq.auth.create_certificates` writes it, which quotes keys only.
#[test]
fn pyzmqs_is_read() -> Outcome {
    let folder = Folder::new("pyzmq")?;
    let text = format!(
        "#   ****  Generated on 2024-05-01 12:00:00.123456 by pyzmq  ****\n\
         #   ZeroMQ CURVE **Secret** Certificate\n\
         #   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.\n\n\
         metadata\n    name = Alice of #1  # and a comment\n    mail = \ncurve\n    \
         public-key = \"{PUBLIC}\"\n    secret-key = \"{SECRET}\"\n"
    );

    let read = Certificate::load(folder.file("alice.key_secret", text)?)?;

    assert_eq!(read.public().to_string(), PUBLIC);
    assert!(read.secret().is_some());
    let metadata: Vec<_> = read.metadata().collect();
    assert_eq!(metadata, [("name", "Alice of"), ("mail", "")]);
    Ok(())
}

/// As czmq's `zcert_save` writes it; with what else the form allows.
#[test]
fn czmqs_is_read() -> Outcome {
    let folder = Folder::new("czmq")?;
    let text = format!(
        "#   ****  Generated on 2024-05-01 12:00:00 by CZMQ  ****\r\n\r\nother = 1\r\n    deeper\r\n        public-key = \"x\"\r\n\
         metadata\r\n    name = 'Al \"B\" ice'\r\n    name = \"Bob\"   # later\r\ncurve   # keys\r\n\tother = \"\r\n\tpublic-key = {PUBLIC}\r\n"
    );

    let read = Certificate::load(folder.file("czmq.key", text)?)?;

    assert_eq!(read.public().to_string(), PUBLIC);
    assert_eq!(read.metadata().collect::<Vec<_>>(), [("name", "Bob")]);
    Ok(())
}

#[test]
fn an_error_names_the_line_and_no_secret() -> Outcome {
    let folder = Folder::new("errors")?;
    let why = |text: &[u8]| {
        let path = folder.file("wrong.key", text).unwrap();
        let error = Certificate::load(&path).unwrap_err().to_string();
        let parts: Vec<&str> = SECRET
            .as_bytes()
            .chunks(4)
            .map(|part| str::from_utf8(part).unwrap())
            .collect();
        assert!(parts.iter().all(|part| !error.contains(part)), "{error}");
        error.replace(&format!("{}: ", path.display()), "")
    };
    let secret = |key: &str| format!("curve\n    public-key = \"{PUBLIC}\"\n    secret-key = {key}\n").into_bytes();

    assert_eq!(why(b""), "it has no public-key in a section curve");
    assert_eq!(
        why(&secret(&format!("\"{}\"", &SECRET[1..]))),
        "line 3: secret-key: a key has 40 characters, not 39"
    );
    assert_eq!(
        why(&secret(&format!("\"{SECRET}"))),
        "line 3: its value has no closing quote"
    );
    assert_eq!(
        why(&secret(&format!("\"{SECRET}\" \"{SECRET}\""))),
        "line 3: something stands behind its value"
    );
    assert_eq!(
        why(&secret(&format!("\"{}\"", SECRET.replace("W!", "W~")))),
        "line 3: secret-key: character 10 is none that Z85 has"
    );
    assert_eq!(
        why(&secret(&format!("\"#{}\"", &SECRET[1..]))),
        "line 3: secret-key: characters 1 to 5 of the key are a number over 32 bits"
    );
    assert_eq!(
        why(&secret(&format!("\"{PUBLIC}\""))),
        "its public-key is not its secret-key's"
    );
    let twice = [secret(&format!("\"{SECRET}\"")), secret(&format!("\"{SECRET}\""))].concat();
    assert_eq!(why(&twice), "line 5: it has a second public-key");
    assert_eq!(why(b"metadata\n\n    name = \"\xff\"\n"), "line 3: it is no UTF-8");
    assert_eq!(why(&vec![b'#'; LIMIT_BYTES + 1]), "it has more than 64 KiB");
    assert_eq!(why(&vec![b'#'; LIMIT_BYTES]), "it has no public-key in a section curve");
    Ok(())
}

#[test]
fn a_file_cut_anywhere_is_refused_or_read() -> Outcome {
    let folder = Folder::new("cut")?;
    let text = text::secret_file(&alice()).expect("it has a secret");
    for end in 0..text.len() {
        let path = folder.file("cut.key_secret", &text.as_bytes()[..end])?;
        if let Ok(read) = Certificate::load(path) {
            assert_eq!(read.public().to_string(), PUBLIC);
        }
    }
    Ok(())
}

#[test]
fn a_folder_is_who_is_let_in() -> Outcome {
    let folder = Folder::new("folder")?;
    let others = [Certificate::generate()?, Certificate::generate()?];
    for (number, other) in others.iter().enumerate() {
        other.save_public(folder.0.join(format!("{number}.key")), IfExists::Refuse)?;
    }
    alice().save_secret(folder.0.join("alice.key_secret"), IfExists::Refuse)?;
    folder.file("README", "no certificate")?;
    folder.file(".#0.key", "an editor's")?;

    assert_eq!(
        Certificate::load_folder(&folder.0)?,
        others.iter().map(Certificate::public).collect()
    );

    let broken = folder.file("broken.key", "no certificate")?;
    let error = Certificate::load_folder(&folder.0).unwrap_err();
    assert!(matches!(error, CertificateError::Invalid { path, .. } if path == broken));
    assert!(Certificate::load_folder(folder.0.join("nowhere")).is_err());
    Ok(())
}

#[test]
fn what_no_file_could_say_is_not_noted() {
    let note = |name: &str, value: &str| alice().with_metadata(name, value).map(drop);

    assert_eq!(note("a-b.c@d", "any 'text' = # of ünicode"), Ok(()));
    for name in ["", "a b", "a=b", "#", "a\n"] {
        assert_eq!(note(name, ""), Err(InvalidMetadata::Name));
    }
    for value in ["\"", "a\nb", "\0"] {
        assert_eq!(note("name", value), Err(InvalidMetadata::Value));
    }
}
