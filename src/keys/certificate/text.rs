//! What stands in a certificate's file: ZPL ([RFC 4](https://rfc.zeromq.org/spec/4/)), as far as czmq and pyzmq write it.
//!
//! Sections stand at the beginning of their lines, `name = value` is indented below them. Values may be quoted; `#` begins a
//! comment. Other sections and keys are passed over, so that files may say more. No error has anything of a secret.

use super::Certificate;
use crate::keys::{InvalidKey, PublicKey, SecretKey};
use std::str::FromStr;
use zeroize::Zeroizing;

/// Why a file is no certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Counted from 1; `None` if it is the whole file's fault.
    pub(super) line: Option<usize>,
    pub(super) why: String,
}

/// Where a line stands.
enum Section {
    Metadata,
    Curve,
    Other,
}

impl Wrong {
    pub(super) fn file(why: impl Into<String>) -> Wrong {
        Wrong {
            line: None,
            why: why.into(),
        }
    }

    fn line(at: usize, why: impl Into<String>) -> Wrong {
        Wrong {
            line: Some(at + 1),
            why: why.into(),
        }
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Certificate, Wrong> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let before = bytes.iter().take(error.valid_up_to());
        Wrong::line(before.filter(|&&byte| byte == b'\n').count(), "it is no UTF-8")
    })?;
    let (mut public, mut secret) = (None, None);
    let mut metadata = Vec::new();
    let mut section = Section::Other;
    for (at, line) in text.lines().enumerate() {
        let item = line.trim();
        if item.is_empty() || item.starts_with('#') {
            continue;
        }
        if !line.starts_with([' ', '\t']) {
            section = match item.split(['#', '=']).next().unwrap_or_default().trim_end() {
                "metadata" => Section::Metadata,
                "curve" => Section::Curve,
                _ => Section::Other,
            };
            continue;
        }
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        match (&section, name.trim_end()) {
            (Section::Curve, name @ "public-key") => read_key(at, name, value, &mut public)?,
            (Section::Curve, name @ "secret-key") => read_key(at, name, value, &mut secret)?,
            (Section::Metadata, name) => metadata.push((String::from(name), String::from(unquoted(at, value)?))),
            (Section::Curve | Section::Other, _) => {}
        }
    }
    assemble(public, secret, metadata)
}

fn read_key<K: FromStr<Err = InvalidKey>>(
    at: usize,
    name: &str,
    value: &str,
    key: &mut Option<K>,
) -> Result<(), Wrong> {
    if key.is_some() {
        return Err(Wrong::line(at, format!("it has a second {name}")));
    }
    let value = unquoted(at, value)?;
    *key = Some(
        value
            .parse()
            .map_err(|wrong| Wrong::line(at, format!("{name}: {}", without_byte(wrong))))?,
    );
    Ok(())
}

/// What is wrong with a key, but not which byte: in a line that is out of place, it may be a secret's.
fn without_byte(wrong: InvalidKey) -> String {
    match wrong {
        InvalidKey::Character { position, .. } => format!("character {position} is none that Z85 has"),
        wrong => wrong.to_string(),
    }
}

/// The value without its quotes, or up to a comment.
fn unquoted(at: usize, value: &str) -> Result<&str, Wrong> {
    let value = value.trim_start();
    let Some(quote) = value.chars().next().filter(|first| ['"', '\''].contains(first)) else {
        let comment = value.match_indices('#').find(|(at, _)| {
            let before = value.get(..*at).unwrap_or_default();
            before.is_empty() || before.ends_with([' ', '\t'])
        });
        let end = comment.map_or(value.len(), |(at, _)| at);
        return Ok(value.get(..end).unwrap_or_default().trim_end());
    };
    let inside = value.get(1..).unwrap_or_default();
    let Some((inside, behind)) = inside.split_once(quote) else {
        return Err(Wrong::line(at, "its value has no closing quote"));
    };
    let behind = behind.trim_start();
    if !behind.is_empty() && !behind.starts_with('#') {
        return Err(Wrong::line(at, "something stands behind its value"));
    }
    Ok(inside)
}

fn assemble(
    public: Option<PublicKey>,
    secret: Option<SecretKey>,
    metadata: Vec<(String, String)>,
) -> Result<Certificate, Wrong> {
    let Some(public) = public else {
        return Err(Wrong::file("it has no public-key in a section curve"));
    };
    if secret.as_ref().is_some_and(|secret| secret.public() != public) {
        return Err(Wrong::file("its public-key is not its secret-key's"));
    }
    let mut certificate = Certificate {
        public,
        secret,
        metadata: Vec::new(),
    };
    for (name, value) in metadata {
        certificate.note(name, value);
    }
    Ok(certificate)
}

pub(super) fn public_file(certificate: &Certificate) -> String {
    format!("{PUBLIC_BANNER}{}{}", metadata_of(certificate), curve_of(certificate))
}

/// `None` if there is no secret.
pub(super) fn secret_file(certificate: &Certificate) -> Option<Zeroizing<String>> {
    let secret = certificate.secret()?.expose_z85();
    let parts = [
        SECRET_BANNER,
        &metadata_of(certificate),
        &curve_of(certificate),
        "    secret-key = \"",
        secret.as_str(),
        "\"\n",
    ];
    // As large as it gets, so that it does not move and leave a copy.
    let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    text.extend(parts);
    Some(text)
}

fn metadata_of(certificate: &Certificate) -> String {
    let lines = certificate.metadata().map(|(name, value)| {
        // With both of them it was read without any, and is read so again.
        let quote = ["\"", "'"].into_iter().find(|quote| !value.contains(quote));
        let quote = quote.unwrap_or_default();
        format!("    {name} = {quote}{value}{quote}\n")
    });
    format!("metadata\n{}", lines.collect::<String>())
}

fn curve_of(certificate: &Certificate) -> String {
    format!("curve\n    public-key = \"{}\"\n", certificate.public)
}

/// RFC 4: `name = *( ALPHA | DIGIT | "$" | "-" | "_" | "@" | "." | "&" | "+" | "/" )`, but not none of them.
pub(super) fn is_name(text: &str) -> bool {
    let is_of_names = |byte: u8| byte.is_ascii_alphanumeric() || b"$-_@.&+/".contains(&byte);
    !text.is_empty() && text.bytes().all(is_of_names)
}

pub(super) fn is_value(text: &str) -> bool {
    !text.chars().any(|character| character == '"' || character.is_control())
}

const PUBLIC_BANNER: &str = "\
#   ZeroMQ CURVE Public Certificate
#   Exchange securely, or use a secure mechanism to verify the contents
#   of this file after exchange.

";

const SECRET_BANNER: &str = "\
#   ZeroMQ CURVE **Secret** Certificate
#   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.

";
