//! What `close` promises, against libzmq.

use crate::peer::{LIMIT, with_peer};
use crate::shapes::plain;
use crate::ways::{Place, TRANSPORTS, they_bind};
use peermq::{Context, Options, Push};

/// The reader starts a second late, and sends PINGs that arrive after our end of stream. Its heartbeat timeout is
/// long: a libzmq peer that has stopped reading at its mark does not see our PONG, and would cut the connection itself.
#[test]
fn close_waits_for_a_late_reader_that_pings() {
    const COUNT: usize = 10_000;
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let theirs = "PULL HEARTBEAT_IVL=100 HEARTBEAT_TIMEOUT=30000";
            let (name, endpoint) = they_bind(peer, theirs, &place);
            let push = Push::with_options(&context, Options::default().send_mark(COUNT)).unwrap();
            push.connect(endpoint.as_str()).unwrap();
            peer.tell(format_args!("read_late {name} 1 {COUNT} 1024"));
            for shape in plain(0..COUNT, 1024) {
                shape.lend(&[], |frames| push.send_timeout(frames, LIMIT).unwrap());
            }
            let report = push.close().unwrap();
            peer.all_ok(1);
            assert!(report.is_confirmed(), "{transport}: {report:?}");
            assert_eq!(report.written(), COUNT as u64, "{transport}: {report:?}");
            peer.ask(format_args!("close {name}"));
        }
    });
}
