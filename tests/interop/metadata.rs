//! What each side says of itself.

use crate::peer::LIMIT;
use crate::shapes::plain;
use crate::ways::for_each_way;
use peermq::{Dealer, Identity, Options, SocketType};

/// `test_metadata`: what a peer says of itself is on each of its messages.
#[test]
fn what_a_peer_says_of_itself_is_on_its_messages() {
    for_each_way("DEALER", |peer, way| {
        let identity = Identity::new("me").unwrap();
        let options = Options::default().identity(identity).metadata("X-Zone", "north");
        let dealer = Dealer::with_options(&way.context, options).unwrap();
        way.link(peer, &dealer);
        for (key, value) in [("X-Zone", "north"), ("Socket-Type", "DEALER"), ("Identity", "me")] {
            dealer.send_timeout("any", LIMIT).unwrap();
            assert_eq!(peer.ask(format_args!("property {} {key}", way.name)), value);
        }
        for shape in plain(0..2, 10) {
            peer.ask(format_args!("send {} . {shape}", way.name));
            let (message, info) = dealer.recv_from_timeout(LIMIT).unwrap();
            shape.check(&[], &message);
            assert_eq!((info.socket_type(), info.version()), (SocketType::Dealer, (3, 1)));
            assert_eq!(info.property("Implementation"), None);
        }
    });
}
