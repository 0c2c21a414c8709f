use crate::endpoint::Endpoint;

#[test]
fn an_error_says_what_is_wrong_and_what_was_meant() {
    let missing = "nothing is there, where tcp://127.0.0.1:5555 might be";
    let lower = "the transport is written in lower case";
    let name = "is not a host name: only letters, digits, - and . make one";
    let scope = "the scope, after the %, is neither the name nor the number of an interface (`ip link` shows them)";
    let source = "the source, before the ;, is not a numeric address with a port";
    let open = "an IPv6 address begins with [ and does not end with ]";
    let port = "the port is missing: tcp://host:port";
    let both = "the host and the port are missing: tcp://host:port";
    let table = [
        ("  ", missing, ""),
        (" tcp://h:1", "it begins or ends with a space", "tcp://h:1"),
        // The transport.
        ("localhost:5555", "the transport is missing", "tcp://localhost:5555"),
        ("*:5555", "the transport is missing", "tcp://*:5555"),
        ("[::1]:5555", "the transport is missing", "tcp://[::1]:5555"),
        ("5555", "the transport is missing", "tcp://*:5555"),
        ("99999", "the transport is missing", ""),
        ("/run/x", "the transport is missing", "ipc:///run/x"),
        ("./x", "the transport is missing", "ipc://./x"),
        ("name", "the transport is missing", "inproc://name"),
        ("tcp:h:1", ":// is missing behind tcp", "tcp://h:1"),
        ("tcp:/h:1", ":// is missing behind tcp", "tcp://h:1"),
        ("ipc:/run/x", ":// is missing behind ipc", "ipc:///run/x"),
        ("tpc://x", r#"unknown transport "tpc""#, "tcp"),
        ("tcpp://x", r#"unknown transport "tcpp""#, "tcp"),
        ("ip://x", r#"unknown transport "ip""#, "ipc"),
        ("inprco://x", r#"unknown transport "inprco""#, "inproc"),
        ("unix:///x", r#"unknown transport "unix""#, "ipc"),
        (
            "ws://h:1",
            r#"unknown transport "ws"; there are tcp, ipc, inproc and udp"#,
            "",
        ),
        (
            "://h:1",
            r#"unknown transport ""; there are tcp, ipc, inproc and udp"#,
            "",
        ),
        ("TCP://h:1", lower, "tcp://h:1"),
        ("Ipc://x", lower, "ipc://x"),
        ("Tcp://h", lower, ""),
        // The port.
        ("tcp://", both, ""),
        ("tcp://h", port, ""),
        ("tcp://h:", port, ""),
        ("tcp://:", port, ""),
        ("tcp://*", port, ""),
        ("tcp://[::1]", port, ""),
        ("tcp://*5555", port, "tcp://*:5555"),
        ("tcp://5555", port, "tcp://*:5555"),
        ("tcp://*99999", port, ""),
        ("tcp://h:65536", "port 65536 is over 65535", ""),
        ("tcp://h:99999999999", "port 99999999999 is over 65535", ""),
        ("tcp://h:+5", r#""+5" is not a port"#, ""),
        ("tcp://h:-1", r#""-1" is not a port"#, ""),
        ("tcp://h:http", r#""http" is not a port"#, ""),
        ("tcp://h:1/", "a tcp address has no path", "tcp://h:1"),
        // The host.
        ("tcp://:5555", "the host is missing", "tcp://*:5555"),
        ("tcp://::1:5", "an IPv6 address is written in brackets", "tcp://[::1]:5"),
        ("tcp://::", "an IPv6 address is written in brackets", ""),
        ("tcp://h:1:2", &format!(r#""h:1" {name}"#), ""),
        ("tcp://u@h:1", &format!(r#""u@h" {name}"#), ""),
        ("tcp://bü:1", &format!(r#""bü" {name}"#), ""),
        ("tcp://256.0.0.1:1", r#""256.0.0.1" is not an IPv4 address"#, ""),
        ("tcp://1.2.3:1", r#""1.2.3" is not an IPv4 address"#, ""),
        ("tcp://0x7f.1:1", r#""0x7f.1" is not an IPv4 address"#, ""),
        ("tcp://a@b.1:1", &format!(r#""a@b.1" {name}"#), ""),
        ("tcp://[::1:5", open, ""),
        ("tcp://[::x]:5", r#""::x" is not an IPv6 address"#, ""),
        ("tcp://[]:5", r#""" is not an IPv6 address"#, ""),
        (
            "tcp://[1.2.3.4]:5",
            "brackets are for IPv6 addresses",
            "tcp://1.2.3.4:5",
        ),
        ("tcp://[fe80::1%]:5", scope, ""),
        ("tcp://[fe80::1%a:b]:5", scope, ""),
        ("tcp://[fe80::1%99999999999]:5", scope, ""),
        ("tcp://[fe80::1%abcdefghijklmnop]:5", scope, ""),
        // The source.
        ("tcp://h:1;h:2", source, ""),
        ("tcp://1.2.3.4:;h:2", source, ""),
        ("tcp://[fe80::1%eth0]:0;h:2", source, ""),
        ("tcp://h;h:2", source, ""),
        ("tcp://*:1;h:2", source, ""),
        ("tcp://1.2.3.4:1;", both, ""),
        (
            "tcp://1.2.3.4;[::1]:2",
            "one of source and target is IPv4, the other IPv6",
            "",
        ),
        (
            "tcp://1.2.3.4:1;[::1]:2",
            "one of source and target is IPv4, the other IPv6",
            "",
        ),
        (
            "udp://[::1];[ff02::1]:5",
            "the interface of an IPv6 group is written behind its address, as in [ff02::1%eth0]",
            "",
        ),
        // The same of datagrams.
        ("udp:239.1.2.3:5", ":// is missing behind udp", "udp://239.1.2.3:5"),
        ("upd://h:1", r#"unknown transport "upd""#, "udp"),
        ("udp://h:1/", "a udp address has no path", "udp://h:1"),
        ("udp://h", "the port is missing: udp://host:port", ""),
        ("udp://:5555", "the host is missing", "udp://*:5555"),
        ("udp://::1:5", "an IPv6 address is written in brackets", "udp://[::1]:5"),
        ("udp://eth0;239.1.2.3:5", source, ""),
        // Paths and names.
        ("ipc://", "the path is missing", ""),
        ("ipc:///run/", "the path ends with /: that names a directory", ""),
        ("inproc://", "the name is missing", ""),
    ];
    for (text, why, meant) in table {
        let error = text.parse::<Endpoint>().unwrap_err();

        assert_eq!(error.text(), text);
        assert_eq!(error.meant().unwrap_or(""), meant);
        let hint = match meant {
            "" => String::new(),
            _ => format!(" (did you mean {meant}?)"),
        };
        assert_eq!(error.to_string(), format!("{text}: {why}{hint}"));
    }
}

#[test]
fn an_error_cannot_write_into_a_log() {
    let table = [
        ("", r#""": nothing is there, where tcp://127.0.0.1:5555 might be"#),
        ("ipc://a\0b", r"ipc://a\u{0}b: the path contains a NUL"),
        ("tcp://h:\n1", r#"tcp://h:\n1: "\n1" is not a port"#),
    ];
    for (text, expected) in table {
        assert_eq!(text.parse::<Endpoint>().unwrap_err().to_string(), expected);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_limits_are_said() {
    let (p, n) = ("p".repeat(108), "n".repeat(257));
    let table = [
        ("ipc://@".to_owned(), "the name is missing"),
        ("ipc://@a\0b".to_owned(), "the name contains a NUL"),
        (
            format!("ipc://{p}"),
            "the path has 108 bytes, the system's limit is 107",
        ),
        (
            format!("ipc://@{p}"),
            "the name has 108 bytes, the system's limit is 107",
        ),
        (format!("inproc://{n}"), "the name has 257 bytes, the limit is 256"),
        (format!("tcp://{n}:1"), "a host name has at most 253 bytes, not 257"),
    ];
    for (text, why) in table {
        let error = text.parse::<Endpoint>().unwrap_err().to_string();
        assert!(error.ends_with(&format!(": {why}")), "{error}");
    }
    assert!(format!("ipc://{}", "p".repeat(107)).parse::<Endpoint>().is_ok());
    assert!(format!("ipc://@{}", "n".repeat(107)).parse::<Endpoint>().is_ok());
}
