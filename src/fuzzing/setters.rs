//! Options, set in any order to anything: refused by name, or good for a socket.

use super::input::{Input, TYPES};
use crate::identity::Identity;
use crate::keys::SecretKey;
use crate::message::Message;
use crate::options::{AtMark, InvalidOptions, Options, Verbosity};
use crate::routing::Pattern;
use crate::security::{Curve, Null, Plain, Subnet};
use crate::sim::World;
use crate::socket::client::ClientPattern;
use crate::socket::dealer::DealerPattern;
use crate::socket::dish::DishPattern;
use crate::socket::kind::{ChannelKind, GatherKind, PairKind, PullKind, PushKind, ScatterKind};
use crate::socket::pair::Exclusive;
use crate::socket::peer::PeerPattern;
use crate::socket::publish::PubPattern;
use crate::socket::pull::Fair;
use crate::socket::push::Balanced;
use crate::socket::radio::RadioPattern;
use crate::socket::reply::RepPattern;
use crate::socket::request::ReqPattern;
use crate::socket::router::RouterPattern;
use crate::socket::server::ServerPattern;
use crate::socket::stream::StreamPattern;
use crate::socket::subscribe::SubPattern;
use crate::socket::xpublish::XPubPattern;
use crate::socket::xsubscribe::XSubPattern;
use crate::socket_type::SocketType;
use crate::wire::Local;
use std::net::IpAddr;
use std::time::Duration;

/// Setters, one after the other; then a socket of each type that does not refuse them.
pub fn options(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut options = match input.below(4) {
        0 => Options::hardened(),
        1 => Options::libzmq_compat(),
        _ => Options::default(),
    };
    let mut set = 0;
    while !input.is_empty() && set < 100 {
        options = setter(options, &mut input);
        set += 1;
    }
    let mut world = World::new(u64::from(input.byte()), 1);
    for (socket_type, _) in TYPES {
        check(&mut world, &options, socket_type);
    }
    check(&mut world, &options, SocketType::Stream);
}

fn check(world: &mut World, options: &Options, socket_type: SocketType) {
    let checked = options.check(socket_type);
    assert_eq!(options.check(socket_type), checked);
    match checked {
        Err(wrong) => check_wrong(&wrong, socket_type),
        Ok(()) => {
            let local = Local::new(socket_type, options);
            assert!(local.limits.handshake_bytes >= 512);
            open(world, options.clone(), socket_type);
        }
    }
}

fn check_wrong(wrong: &InvalidOptions, of: SocketType) {
    let text = wrong.to_string();
    assert!(!text.is_empty() && !text.contains(|c: char| c.is_control()));
    if let InvalidOptions::NotForType { socket_type, .. } = wrong {
        assert_eq!(*socket_type, of);
    }
}

fn open(world: &mut World, options: Options, socket_type: SocketType) {
    match socket_type {
        SocketType::Req => hub(world, options, |options| ReqPattern::new(options, 7)),
        SocketType::Rep => hub(world, options, RepPattern::new),
        SocketType::Dealer => hub(world, options, DealerPattern::new),
        SocketType::Router => hub(world, options, |options| RouterPattern::new(options, 7)),
        SocketType::Pub => hub(world, options, |options| PubPattern::new(options, 7)),
        SocketType::XPub => hub(world, options, |options| XPubPattern::new(options, 7)),
        SocketType::Sub => hub(world, options, SubPattern::new),
        SocketType::XSub => hub(world, options, XSubPattern::new),
        SocketType::Push => hub(world, options, Balanced::<PushKind>::new),
        SocketType::Pull => hub(world, options, Fair::<PullKind>::new),
        SocketType::Pair => hub(world, options, Exclusive::<PairKind>::new),
        SocketType::Stream => hub(world, options, |options| StreamPattern::new(options, 7)),
        SocketType::Server => hub(world, options, |options| ServerPattern::new(options, 7)),
        SocketType::Client => hub(world, options, ClientPattern::new),
        SocketType::Radio => hub(world, options, |options| RadioPattern::new(options, 7)),
        SocketType::Dish => hub(world, options, DishPattern::new),
        SocketType::Scatter => hub(world, options, Balanced::<ScatterKind>::new),
        SocketType::Gather => hub(world, options, Fair::<GatherKind>::new),
        SocketType::Peer => hub(world, options, |options| PeerPattern::new(options, 7)),
        SocketType::Channel => hub(world, options, Exclusive::<ChannelKind>::new),
    }
}

/// A socket that is opened, has nobody, and is closed.
fn hub<P: Pattern>(world: &mut World, options: Options, pattern: impl FnOnce(&Options) -> P) {
    let hub = world.open(0, pattern, options.linger(Duration::ZERO));
    let stats = hub.stats();
    assert!(stats.peers.is_empty() && stats.out.is_conserved() && stats.incoming.is_conserved());
    world.close(0, hub.clone());
    world.run_for(Duration::from_millis(1));
    assert!(hub.report().is_some(), "it has nobody to wait for");
}

fn setter(options: Options, input: &mut Input<'_>) -> Options {
    match input.below(50) {
        0 => options.send_mark(size(input)),
        1 => options.mark(size(input)),
        2 => options.send_mark_bytes(size(input)),
        3 => options.recv_mark(size(input)),
        4 => options.recv_mark_bytes(size(input)),
        5 => options.linger(time(input)),
        6 => options.monitor_events(size(input)),
        7 => options.max_message_size(size(input) as u64),
        8 => options.max_frames(size(input)),
        9 => options.max_handshake_bytes(size(input)),
        10 => options.max_metadata_bytes(size(input)),
        11 => options.max_properties(size(input)),
        12 => options.handshake_timeout(time(input)),
        13 => options.connect_timeout(time(input)),
        14 => options.reconnect(time(input), time(input)),
        15 => options.retry_refused(time(input)),
        16 => options.no_reconnect(),
        17 => options.stop_when_refused(input.flag()),
        18 => options.stop_when_handshake_fails(input.flag()),
        19 => options.heartbeat(time(input)),
        20 => options.heartbeat_timeout(time(input)),
        21 => options.heartbeat_ttl(time(input)),
        22 => options.no_heartbeat(),
        23 => options.hello_message(message(input)),
        24 => options.disconnect_message(message(input)),
        25 => options.hiccup_message(message(input)),
        26 => options.metadata(input.text(), input.bytes()),
        27 => match Identity::from_received(input.bytes()) {
            Ok(identity) => options.identity(identity),
            Err(_) => options,
        },
        28 => options.connected_first(input.flag()),
        29 => options.requeue_unwritten(input.flag()),
        30 => options.correlate(input.flag()).relaxed(input.flag()),
        31 => options.retry(time(input), size(input) as u32),
        32 => options.drop_unroutable(input.flag()).handover(input.flag()),
        33 => options.probe(input.flag()),
        34 => options.router_notify(input.flag(), input.flag()),
        35 => options.stream_notify(input.flag()),
        36 => options.at_mark(input.one_of(&[
            AtMark::DropNewest,
            AtMark::DropOldest,
            AtMark::Disconnect,
            AtMark::Block,
        ])),
        37 => options.invert_matching(input.flag()),
        38 => options.last_values(size(input)),
        39 => options.max_subscription_bytes(size(input)).max_topic_len(size(input)),
        40 => options
            .verbosity(input.one_of(&[Verbosity::Changes, Verbosity::Subscriptions, Verbosity::All]))
            .manual(input.flag()),
        41 => options.welcome_message(message(input)),
        42 => options.conflate(),
        43 => options.conflate_by_topic(size(input)),
        44 => security(options, input),
        45 => strangers(options, input),
        _ => kernel(options, input),
    }
}

/// What the system is told of.
fn kernel(options: Options, input: &mut Input<'_>) -> Options {
    match input.below(11) {
        0 => options.keepalive(time(input), time(input), size(input) as u32),
        1 => options.no_keepalive(),
        2 => options.backlog(size(input) as u32).ipv6_only(input.flag()),
        3 => options.send_buffer(size(input)),
        4 => options.recv_buffer(size(input)),
        5 => options.tos(input.byte()).priority(size(input) as u32),
        6 => options.tcp_user_timeout(time(input)),
        7 => options.bind_to_device(input.text()),
        8 => options.busy_poll(time(input)),
        9 => options.multicast_hops(input.byte()).multicast_loop(input.flag()),
        _ => {
            let (proxy, name, password) = (input.text(), input.text(), input.text());
            let credentials = input.flag().then_some((&name[..], &password[..]));
            options.socks5(&proxy, credentials)
        }
    }
}

fn strangers(options: Options, input: &mut Input<'_>) -> Options {
    match input.below(6) {
        0 => options.max_pending_handshakes(size(input)),
        1 => options.max_peers(size(input)),
        2 => options.max_peers_per_address(size(input)),
        3 => options.accept_rate(size(input) as u32, size(input) as u32),
        4 => options.fd_reserve(size(input)),
        _ => options.allow_insecure_bind(input.flag()),
    }
}

fn security(options: Options, input: &mut Input<'_>) -> Options {
    let secret = SecretKey::from_bytes([input.byte(); 32]);
    let subnet = Subnet::from(IpAddr::from([10, 0, 0, input.byte()]));
    let security = match input.below(7) {
        0 => Plain::client(input.text(), input.text()),
        1 => Plain::server().allow([(input.text(), input.text())]),
        2 => Plain::server().allow_any(),
        3 => Curve::client(secret, crate::keys::PublicKey::from_bytes([input.byte(); 32])),
        4 => Curve::server(secret).allow([crate::keys::PublicKey::from_bytes([input.byte(); 32])]),
        5 => Curve::server(secret).allow_any(),
        _ => Null::allow_from([subnet]),
    };
    options.security(match input.flag() {
        true => security.deny_from([subnet]),
        false => security,
    })
}

/// Small, or where something changes, or any.
fn size(input: &mut Input<'_>) -> usize {
    match input.byte() {
        small @ 0..=199 => small.into(),
        200 => usize::MAX,
        201 => usize::MAX / 2,
        202 => u32::MAX as usize,
        203 => 512,
        204 => 65_536,
        _ => input.number() as usize,
    }
}

fn time(input: &mut Input<'_>) -> Duration {
    match input.byte() {
        0 => Duration::ZERO,
        1 => Duration::MAX,
        2 => Duration::from_nanos(1),
        3 => Duration::from_micros(999),
        4 => Duration::from_millis(1),
        5 => Duration::from_secs(u64::MAX),
        6 => Duration::from_nanos(input.number()),
        7 => Duration::from_secs(input.number()),
        more => Duration::from_millis(more.into()),
    }
}

fn message(input: &mut Input<'_>) -> Message {
    let frames = input.below(4) + 1;
    let frames: Vec<_> = (0..frames).map(|_| input.bytes()).collect();
    Message::from_frames(frames).expect("it has a frame")
}
