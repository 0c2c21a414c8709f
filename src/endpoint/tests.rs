use super::*;

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

#[test]
fn an_endpoint_is_printed_as_it_was_written() {
    let long_path = format!("ipc:///{}", "p".repeat(102));
    let long_name = format!("inproc://{}", "n".repeat(256));
    let texts = [
        "tcp://127.0.0.1:5555",
        "tcp://0.0.0.0:65535",
        "tcp://*:5555",
        "tcp://*:0",
        "tcp://localhost:5555",
        "tcp://my_host-1.example.com.:1",
        "tcp://3com.com:80",
        "tcp://eth0.100:5555",
        "tcp://[::1]:0",
        "tcp://[::]:5555",
        "tcp://[fe80::1%3]:5555",
        "tcp://[::ffff:1.2.3.4]:5555",
        "tcp://192.168.1.17:6000;192.168.1.1:5555",
        "tcp://192.168.1.17:0;host:5555",
        "tcp://[::1]:0;[::1]:5555",
        "tcp://[fe80::1%3]:0;[fe80::2%3]:5555",
        "tcp://[fe80::1%eth0]:5555",
        "tcp://[fe80::1%3]:0;[fe80::2%wlp4s0]:5555",
        "udp://127.0.0.1:5555",
        "udp://*:0",
        "udp://host:5555",
        "udp://[ff02::1%eth0]:5555",
        "udp://239.1.2.3:5555",
        "udp://192.168.1.17;239.1.2.3:5555",
        "udp://192.168.1.17:6000;192.168.1.1:5555",
        "ipc://*",
        "ipc://./*",
        "ipc:///run/app/socket",
        "ipc://socket",
        "ipc://./@socket",
        "ipc:///a b/ü",
        "inproc://x",
        "inproc://any thing; *@://",
        &long_path,
        &long_name,
    ];
    for text in texts {
        let endpoint = endpoint(text);
        assert_eq!(endpoint.to_string(), text);
        assert!(text.starts_with(&format!("{}://", endpoint.transport())));
    }
}

#[test]
fn numbers_are_printed_in_their_usual_form() {
    let table = [
        ("tcp://*:*", "tcp://*:0"),
        ("tcp://127.0.0.1:*", "tcp://127.0.0.1:0"),
        ("tcp://host:0080", "tcp://host:80"),
        ("tcp://[0:0::0:1]:1", "tcp://[::1]:1"),
        ("tcp://[FE80::1%03]:1", "tcp://[fe80::1%3]:1"),
        ("tcp://127.0.0.1:*;host:1", "tcp://127.0.0.1:0;host:1"),
        ("tcp://127.0.0.1;host:1", "tcp://127.0.0.1:0;host:1"),
        ("tcp://[0::1];host:1", "tcp://[::1]:0;host:1"),
        ("tcp://[FE80:0::1%eth0]:*", "tcp://[fe80::1%eth0]:0"),
        ("udp://127.0.0.1:*", "udp://127.0.0.1:0"),
        ("udp://127.0.0.1:*;239.1.2.3:5", "udp://127.0.0.1;239.1.2.3:5"),
    ];
    for (text, printed) in table {
        assert_eq!(endpoint(text).to_string(), printed);
        assert_eq!(endpoint(printed), endpoint(text));
    }
}

/// Without its brackets it would not be read again, and without its interface it would be another.
#[test]
fn an_ipv6_source_of_datagrams_is_printed_whole() {
    for text in [
        "udp://[::1]:0;[::2]:5555",
        "udp://[fe80::1%3]:0;[fe80::2%eth0]:5555",
        "udp://[fe80::1%3]:0;host:5555",
    ] {
        assert_eq!(endpoint(text).to_string(), text);
    }
    let short = endpoint("udp://[0::1];host:5555");
    assert_eq!(short.to_string(), "udp://[::1]:0;host:5555");
}

#[test]
fn an_address_of_the_kernel_is_an_endpoint() {
    for text in ["1.2.3.4:5", "[::1]:5", "[fe80::1%3]:5"] {
        let address: SocketAddr = text.parse().unwrap();

        let endpoint = Endpoint::tcp(address);

        assert_eq!(endpoint.to_string(), format!("tcp://{text}"));
        let Kind::Tcp(tcp) = endpoint.kind() else {
            panic!("{endpoint}")
        };
        assert_eq!(tcp.address(), Some(address));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_is_not_a_path() {
    let name = Endpoint::ipc(IpcPath::Abstract(b"x".to_vec()));

    assert_eq!(name.to_string(), "ipc://@x");
    assert_eq!(endpoint("ipc://@x"), name);
    assert_ne!(endpoint("ipc://./@x"), name);
}

#[test]
fn only_tcp_and_udp_have_a_port() {
    assert_eq!(endpoint("tcp://*:*").port(), Some(0));
    assert_eq!(endpoint("udp://239.1.2.3:5").port(), Some(5));
    assert_eq!(endpoint("tcp://1.2.3.4:1;host:5").port(), Some(5));
    assert_eq!(endpoint("ipc://x:1").port(), None);
    assert_eq!(endpoint("inproc://x:1").port(), None);
}

#[test]
fn some_endpoints_are_to_bind_and_some_to_connect_to() {
    for text in [
        "tcp://1.2.3.4:5",
        "tcp://[::1]:5",
        "tcp://host:5",
        "ipc://x",
        "inproc://x",
    ] {
        assert_eq!(endpoint(text).check_bind(), Ok(()));
        assert_eq!(endpoint(text).check_connect(), Ok(()));
    }
    let to_bind = [
        (
            "tcp://*:5555",
            "tcp://*:5555: host * is for binding; connecting needs to know which \
             (did you mean tcp://127.0.0.1:5555?)",
        ),
        (
            "tcp://*:*",
            "tcp://*:0: host * is for binding; connecting needs to know which",
        ),
        (
            "tcp://host:*",
            "tcp://host:0: port 0 (or *) is for binding; connecting needs to know which",
        ),
        (
            "tcp://[::]:0",
            "tcp://[::]:0: port 0 (or *) is for binding; connecting needs to know which",
        ),
        (
            "ipc://*",
            "ipc://*: path * is for binding; connecting needs to know which",
        ),
        (
            "tcp://eth0.100:5",
            "tcp://eth0.100:5: the name of an interface is for binding; connecting needs a host",
        ),
    ];
    for (text, error) in to_bind {
        assert_eq!(endpoint(text).check_bind(), Ok(()));
        assert_eq!(endpoint(text).check_connect().unwrap_err().to_string(), error);
    }
    let to_connect = endpoint("tcp://1.2.3.4:0;host:5");
    assert_eq!(to_connect.check_connect(), Ok(()));
    assert_eq!(
        to_connect.check_bind().unwrap_err().to_string(),
        "tcp://1.2.3.4:0;host:5: a source is for connecting, not for binding (did you mean tcp://host:5?)"
    );
}

#[test]
fn whatever_reads_as_an_endpoint_is_taken_for_one() {
    fn take<E: TryInto<Endpoint>>(endpoint: E) -> Result<Endpoint, InvalidEndpoint>
    where
        E::Error: Into<InvalidEndpoint>,
    {
        endpoint.try_into().map_err(Into::into)
    }
    let text = String::from("inproc://x");
    let endpoint = take("inproc://x").unwrap();

    assert_eq!(take(&text), Ok(endpoint.clone()));
    assert_eq!(take(text), Ok(endpoint.clone()));
    assert_eq!(take(&endpoint), Ok(endpoint.clone()));
    assert_eq!(take(endpoint.clone()), Ok(endpoint));
}

#[test]
fn an_endpoint_cannot_write_into_a_log() {
    let endpoint = endpoint("inproc://a\n\u{1b}");
    assert_eq!(format!("{endpoint:?}"), "Endpoint(inproc://a\\n\\u{1b})");
}
