//! ROUTER on either side: whom it knows, by which name.

use crate::peer::{LIMIT, told, with_peer};
use crate::ways::{Place, TRANSPORTS, for_each_way, they_bind};
use peermq::*;

fn name(text: &str) -> Identity {
    Identity::new(text).unwrap()
}

/// Whoever does not say what it is called gets a name that is made up: 0 and four bytes.
#[test]
fn who_has_no_name_gets_one() {
    for kind in ["REQ", "DEALER"] {
        for_each_way(kind, |peer, way| {
            let router = Router::new(&way.context);
            way.link(peer, &router);
            let front = if kind == "REQ" { "." } else { "-" };
            peer.tell(format_args!("ask {} {front} 1 2 100", way.name));
            let (sender, message) = router.recv_timeout(LIMIT).unwrap();
            assert!(sender.is_made_up());
            assert_eq!(router.identities(), std::slice::from_ref(&sender));
            assert_eq!(message.first(), b"");
            router.send_to(&sender, message).unwrap();
            peer.all_ok(1);
        });
    }
    for_each_way("ROUTER ROUTER_MANDATORY=1", |peer, way| {
        let dealer = Dealer::new(&way.context);
        way.link(peer, &dealer);
        dealer.send_timeout("hello", LIMIT).unwrap();
        let frames = peer.ask(format_args!("hear {}", way.name));
        let (id, hello) = frames.split_once(',').unwrap();
        assert_eq!((id.len(), &id[..2], hello), (10, "00", &*told(&["hello"])));
        peer.ask(format_args!("say {} {frames}", way.name));
        assert_eq!(dealer.recv_timeout(LIMIT).unwrap(), "hello");
    });
}

/// Whom we connect to can be sent to before it is there, by the name that we give it.
#[test]
fn we_name_their_router_ourselves() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let router = Router::with_options(&context, Options::default().identity(name("ours"))).unwrap();
            let (theirs, there) = they_bind(peer, "ROUTER ROUTING_ID=theirs", &place);
            router.connect_as(there.as_str(), &name("a name of ours")).unwrap();
            router.send_to(&name("a name of ours"), "hello").unwrap();
            peer.expect(&theirs, &["ours", "hello"]);
            peer.say(&theirs, &["ours", "and you"]);
            let (from, message) = router.recv_timeout(LIMIT).unwrap();
            assert_eq!((from, message), (name("a name of ours"), "and you".into()));
            peer.ask(format_args!("close {theirs}"));
        }
    });
}
