//! What the options say is what the kernel says of the sockets.

use super::{World, address, has_v6};
use crate::endpoint::Endpoint;
use crate::options::{Options, TransportOptions};
use crate::transport::real::{RealListener, RealStream, bind};
use crate::transport::{Address, names};
use socket2::SockRef;
use std::io::ErrorKind;
use std::time::Duration;

/// A listener and both ends of a connection, set as these options say.
fn connected(endpoint: &str, options: Options) -> (RealListener, [RealStream; 2]) {
    let mut world = World::new();
    world.options = options.transport;
    let (listener, bound) = world.bind(endpoint);
    let (near, _) = world.connect(&address(&bound)).unwrap();
    let (far, _) = world.accept(&listener);
    (listener, [near, far])
}

fn of_listener(listener: &RealListener) -> SockRef<'_> {
    match listener {
        RealListener::Tcp(listener) => (&listener.socket).into(),
        RealListener::Unix(listener) => (&listener.socket).into(),
        RealListener::Udp(_) => panic!("it does not listen"),
    }
}

fn of_stream(stream: &RealStream) -> SockRef<'_> {
    match stream {
        RealStream::Tcp(stream) => stream.into(),
        RealStream::Unix { stream, .. } => stream.into(),
        RealStream::Udp(datagrams) => (&datagrams.socket).into(),
    }
}

/// libzmq's test_diffserv.
#[test]
fn the_type_of_service_is_as_asked() {
    let (listener, streams) = connected("tcp://127.0.0.1:0", Options::default().tos(0x28));

    assert_eq!(of_listener(&listener).tos_v4().unwrap(), 0x28);
    for stream in &streams {
        assert_eq!(of_stream(stream).tos_v4().unwrap(), 0x28);
    }
    let (_, streams) = connected("tcp://127.0.0.1:0", Options::default());
    assert_eq!(of_stream(&streams[0]).tos_v4().unwrap(), 0);
}

#[test]
fn the_traffic_class_is_ipv6s_type_of_service() {
    if !has_v6() {
        return;
    }
    let (listener, streams) = connected("tcp://[::1]:0", Options::default().tos(0x58));

    assert_eq!(of_listener(&listener).tclass_v6().unwrap(), 0x58);
    for stream in &streams {
        assert_eq!(of_stream(stream).tclass_v6().unwrap(), 0x58);
    }
}

/// The peers of a socket that takes both get the type of service of their kind.
#[test]
fn ipv4_peers_of_an_ipv6_listener_get_the_type_of_service_too() {
    if !has_v6() {
        return;
    }
    let mut world = World::new();
    world.options = Options::default().tos(0x28).transport;
    let (listener, bound) = world.bind("tcp://[::]:0");
    let to = ([127, 0, 0, 1], bound.port().unwrap()).into();
    let (_near, _) = world.connect(&Address::Tcp { to, from: None }).unwrap();

    let (far, _) = world.accept(&listener);

    assert_eq!(of_stream(&far).tos_v4().unwrap(), 0x28);
    assert_eq!(of_stream(&far).tclass_v6().unwrap(), 0x28);
}

#[cfg(target_os = "linux")]
#[test]
fn the_priority_is_as_asked_whatever_the_type_of_service() {
    let (listener, streams) = connected("tcp://127.0.0.1:0", Options::default().tos(0x10).priority(3));

    assert_eq!(of_listener(&listener).priority().unwrap(), 3);
    for stream in &streams {
        assert_eq!(of_stream(stream).priority().unwrap(), 3);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_time_without_acknowledgement_is_as_asked() {
    for (asked, set) in [
        (Duration::from_millis(4_321), Duration::from_millis(4_321)),
        (Duration::ZERO, Duration::from_millis(1)),
        (Duration::MAX, Duration::from_millis(i32::MAX as u64)),
    ] {
        let (_, streams) = connected("tcp://127.0.0.1:0", Options::default().tcp_user_timeout(asked));

        for stream in &streams {
            assert_eq!(of_stream(stream).tcp_user_timeout().unwrap(), Some(set));
        }
    }
    let (_, streams) = connected("tcp://127.0.0.1:0", Options::default());
    assert_eq!(of_stream(&streams[0]).tcp_user_timeout().unwrap(), None);
}

/// Without the capability both say so; libzmq's test_busy_poll.
#[cfg(target_os = "linux")]
#[test]
fn the_time_of_polling_is_as_asked_or_an_error() {
    let endpoint: Endpoint = "tcp://127.0.0.1:0".parse().unwrap();
    let options = Options::default().busy_poll(Duration::from_micros(70));
    match bind(&endpoint, &options.transport) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::PermissionDenied),
        Ok(_) => {
            let (listener, streams) = connected("tcp://127.0.0.1:0", options);
            assert_eq!(of_listener(&listener).busy_poll().unwrap(), 70);
            for stream in &streams {
                assert_eq!(of_stream(stream).busy_poll().unwrap(), 70);
            }
        }
    }
}

/// libzmq's test_bindtodevice.
#[cfg(target_os = "linux")]
#[test]
fn sockets_belong_to_the_device_that_was_asked_for() {
    let (listener, streams) = connected("tcp://*:0", Options::default().bind_to_device("lo"));

    assert_eq!(of_listener(&listener).device().unwrap(), Some(b"lo".to_vec()));
    for stream in &streams {
        assert_eq!(of_stream(stream).device().unwrap(), Some(b"lo".to_vec()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_that_is_not_there_is_an_error_that_names_it() {
    let endpoint: Endpoint = "tcp://127.0.0.1:0".parse().unwrap();
    let options = Options::default().bind_to_device("nosuch0").transport;

    let bound = bind(&endpoint, &options).err().unwrap().to_string();
    let mut world = World::new();
    world.options = options;
    let to = ([127, 0, 0, 1], 1).into();
    let connected = world
        .connect(&Address::Tcp { to, from: None })
        .err()
        .unwrap()
        .to_string();

    for why in [bound, connected] {
        assert!(why.starts_with("bind_to_device \"nosuch0\": "), "{why}");
    }
}

#[test]
fn what_is_for_tcp_does_nothing_over_ipc() {
    let options = Options::default()
        .tos(0x28)
        .bind_to_device("nosuch0")
        .tcp_user_timeout(Duration::from_secs(1));
    connected("ipc://*", options);
}

/// libzmq's unittest_ip_resolver. `lo` has the same number as long as the machine runs.
#[cfg(target_os = "linux")]
#[test]
fn the_name_of_an_ipv6_zone_becomes_its_number() {
    let lo = std::fs::read_to_string("/sys/class/net/lo/ifindex").unwrap();
    let endpoint: Endpoint = "tcp://[fe80::1%lo]:5".parse().unwrap();
    let crate::endpoint::Kind::Tcp(tcp) = endpoint.kind() else {
        panic!("{endpoint}")
    };
    let crate::endpoint::Host::Name(name) = &tcp.host else {
        panic!("{endpoint}")
    };

    let found = names::look_up(name, tcp.port).unwrap();

    assert_eq!(found.len(), 1);
    assert_eq!(found[0].to_string(), format!("[fe80::1%{}]:5", lo.trim()));
}

#[test]
fn no_option_is_set_by_itself() {
    let TransportOptions {
        tos,
        priority,
        busy_poll,
        device,
        user_timeout,
        ..
    } = TransportOptions::default();
    assert_eq!(
        (tos, priority, busy_poll, device, user_timeout),
        (None, None, None, None, None)
    );
}
