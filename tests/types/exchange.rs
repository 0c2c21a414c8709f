//! Messages arrive as they were sent, or come back.

use crate::common::{LONG, hello, ready_of_ours, until};
use crate::every::{facts, open};
use crate::kind::{Facts, How, Said, Sends};
use crate::{Dials, arriving, assert_law, brief, endpoint, join, meet, pass, ways};
use peermq::{Context, DropReason, Message, NotSent, SocketType};
use std::io::{Read, Write};
use std::net::TcpStream;

pub(crate) fn whole(transport: &str, it: Facts) {
    for dials in [Dials::It, Dials::Other] {
        let context = Context::new().unwrap();
        let sockets = meet(&context, transport, it, dials, [brief(), brief()]);
        let both = [it, facts(it.partner)];
        for number in 0..20 {
            for [from, to] in ways(it) {
                let message = both[from].message(&format!("{number} from {}", both[from].socket_type));
                pass(&*sockets[from], &*sockets[to], &message);
                assert_law(&sockets);
            }
        }
        for [from, to] in ways(it) {
            let (out, incoming) = (sockets[from].stats().out, sockets[to].stats().incoming);
            assert!(out.passed >= 20 && incoming.passed >= 20, "{out:#?} {incoming:#?}");
            assert_eq!(out.dropped.total() + incoming.dropped.total(), 0);
        }
    }
}

/// With the type and the address of the peer, as the side knows it that dialed, or the other.
pub(crate) fn whose(transport: &str, it: Facts) {
    for dials in [Dials::It, Dials::Other] {
        let context = Context::new().unwrap();
        let both = [it, facts(it.partner)];
        let sockets = both.map(|facts| open(facts.socket_type, &context, brief()).unwrap());
        let (dialing, listening) = match dials {
            Dials::It => (0, 1),
            Dials::Other => (1, 0),
        };
        let bound = join(&*sockets[dialing], &*sockets[listening], &endpoint(transport));
        for [from, to] in ways(it) {
            let message = both[from].message("whose?");
            let (received, peer) = std::thread::scope(|scope| {
                let sender = scope.spawn(|| sockets[from].send(message.clone(), How::Within(LONG)));
                let received = sockets[to].recv_from();
                assert_eq!(sender.join().unwrap(), Said::Done(()));
                received
            });
            assert_eq!(received, arriving(&*sockets[from], &message));
            assert_eq!(peer.socket_type(), both[from].socket_type);
            if to == dialing || transport != "tcp" {
                assert_eq!(peer.address(), bound);
            } else {
                let port = peer.address().strip_prefix("tcp://127.0.0.1:").unwrap();
                assert!(port.parse::<u16>().unwrap() > 0 && peer.address() != bound);
            }
        }
        assert_law(&sockets);
    }
}

/// RFCs 41, 48, 49, 51 and 52: their sockets "SHALL NOT" take messages of several frames.
pub(crate) fn frames(transport: &str, it: Facts) {
    let context = Context::new().unwrap();
    let sockets = meet(&context, transport, it, Dials::Other, [brief(), brief()]);
    let [one, other] = &sockets;
    if it.sends != Sends::Never {
        let given = Message::from(["one", "", "three"]);
        let before = one.stats().out;
        if it.has_one_frame {
            for how in [How::Now, How::Within(LONG), How::Waiting] {
                assert_eq!(one.send(given.clone(), how), Said::Refused(NotSent::SeveralFrames));
            }
            assert_eq!(
                crate::kind::wait(one.send_later(given)),
                Said::Refused(NotSent::SeveralFrames)
            );
            let after = one.stats().out;
            assert_eq!(
                (after.taken, after.dropped.total()),
                (before.taken, before.dropped.total())
            );
        } else if ways(it).contains(&[0, 1]) {
            pass(&**one, &**other, &given);
        }
    }
    assert_law(&sockets);
    if transport == "tcp" && it.has_one_frame && it.receives {
        frames_that_come(it);
    }
}

/// What comes with several frames is dropped and counted, and the next is received.
fn frames_that_come(it: Facts) {
    let context = Context::new().unwrap();
    let socket = open(it.socket_type, &context, brief()).unwrap();
    let bound = socket.bind(&endpoint("tcp")).unwrap();
    let mut stranger = TcpStream::connect(crate::common::address(&bound)).unwrap();
    stranger.write_all(&hello(it.partner.as_str())).unwrap();
    let mut greeting = vec![0; 64 + ready_of_ours(it.socket_type.as_str()).len()];
    stranger.read_exact(&mut greeting).unwrap();
    // A group and its body are one message of one frame.
    let (many, one): (&[u8], &[u8]) = match it.socket_type {
        SocketType::Dish => (b"\x01\x09the group\x01\x01a\x00\x01b", b"\x01\x09the group\x00\x01c"),
        _ => (b"\x01\x01a\x00\x01b", b"\x00\x01c"),
    };
    stranger.write_all(&[many, one].concat()).unwrap();

    assert_eq!(socket.recv(How::Within(LONG)), Said::Done(Message::from("c")));
    assert_eq!(socket.recv(How::Now), Said::NotNow);
    until("the count of what was dropped", || {
        socket.stats().incoming.dropped.of(DropReason::Malformed) == 1
    });
    assert_law(&[socket]);
}
