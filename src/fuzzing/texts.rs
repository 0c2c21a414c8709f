//! Texts that people write: endpoints, subnets, certificates and keys.

use crate::endpoint::Endpoint;
use crate::keys::{Certificate, PublicKey, SecretKey};
use crate::security::Subnet;
use crate::socket_type::SocketType;

/// An endpoint, or a subnet, as it stands in a configuration.
pub fn endpoints(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    subnet(text);
    match text.parse::<Endpoint>() {
        Err(wrong) => {
            assert_eq!(wrong.text(), text);
            assert!(is_one_line(&wrong.to_string()));
            // A hint is an endpoint, or the name of a transport.
            if let Some(meant) = wrong.meant() {
                assert!(meant.parse::<Endpoint>().is_ok() || !meant.contains(':'), "{meant}");
            }
        }
        Ok(endpoint) => {
            let printed = endpoint.to_string();
            let again: Endpoint = printed.parse().expect("what is printed is an endpoint");
            assert_eq!(again, endpoint);
            assert_eq!(again.to_string(), printed);
            assert!(is_one_line(&format!("{endpoint:?}")));
            assert!(printed.starts_with(endpoint.transport()));
            check_use(&endpoint);
        }
    }
}

fn subnet(text: &str) {
    match text.parse::<Subnet>() {
        Err(wrong) => assert!(is_one_line(&wrong.to_string()), "{wrong:?}"),
        Ok(subnet) => {
            let printed = subnet.to_string();
            assert_eq!(printed.parse(), Ok(subnet), "what is printed is the same");
            let first = printed.split('/').next().and_then(|first| first.parse().ok());
            assert!(first.is_some_and(|first| subnet.contains(first)), "{printed}");
        }
    }
}

/// What an endpoint is good for, or why it is not.
fn check_use(endpoint: &Endpoint) {
    let types = [
        SocketType::Radio,
        SocketType::Dish,
        SocketType::Stream,
        SocketType::Push,
    ];
    let by_type = types.map(|socket_type| [true, false].map(|connects| endpoint.check_type(socket_type, connects)));
    let verdicts = [endpoint.check_bind(), endpoint.check_connect()];
    let wrongs = verdicts.iter().chain(by_type.iter().flatten());
    for wrong in wrongs.filter_map(|verdict| verdict.as_ref().err()) {
        assert!(is_one_line(&wrong.to_string()));
        assert_eq!(wrong.text(), endpoint.to_string());
        if let Some(meant) = wrong.meant() {
            assert!(meant.parse::<Endpoint>().is_ok(), "{meant}");
        }
    }
}

/// A certificate's file, or a key.
pub fn certificates(bytes: &[u8]) {
    key(bytes);
    let Some(certificate) = Certificate::of_text(bytes) else {
        return;
    };
    let (public, secret) = certificate.texts();
    check(&certificate, &public, false);
    match secret {
        Some(secret) => check(&certificate, &secret, true),
        None => assert!(certificate.secret().is_none()),
    }
}

/// What is written of it is read as the same.
fn check(certificate: &Certificate, text: &str, is_secret: bool) {
    let again = Certificate::of_text(text.as_bytes()).expect("what is written is read");
    assert_eq!(again.public(), certificate.public());
    assert!(again.metadata().eq(certificate.metadata()), "{text}");
    assert_eq!(again.secret().is_some(), is_secret);
    if let (Some(one), Some(other)) = (again.secret(), certificate.secret()) {
        assert_eq!(one.expose_z85().as_str(), other.expose_z85().as_str());
    }
}

/// Text that is a key is the only text of that key.
fn key(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        match (text.parse::<PublicKey>(), text.parse::<SecretKey>()) {
            (Ok(public), Ok(secret)) => {
                assert_eq!(public.to_string(), text);
                assert_eq!(secret.expose_z85().as_str(), text);
            }
            (Err(one), Err(other)) => assert!(one == other && is_one_line(&one.to_string())),
            _ => panic!("a key of one kind only"),
        }
    }
    if let Some(bytes) = bytes.first_chunk::<32>() {
        let public = PublicKey::from_bytes(*bytes);
        assert_eq!(public.to_string().parse(), Ok(public));
    }
}

fn is_one_line(text: &str) -> bool {
    !text.contains(|c: char| c.is_control())
}
