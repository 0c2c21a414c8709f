//! What `close` says, and what a closed socket says.

use crate::common::{endpoint, unused};
use crate::every::facts;
use crate::kind::{Facts, How, Said, Sends};
use crate::{Dials, LONG, assert_law, brief, meet, ways};
use peermq::{BindError, ConnectError, Context, EndpointError, Interest, Options, Poller};

pub(crate) fn twice(transport: &str, it: Facts) {
    for dials in [Dials::It, Dials::Other] {
        let context = Context::new().unwrap();
        let sockets = meet(&context, transport, it, dials, [brief(), brief()]);
        let [socket, _other] = &sockets;
        let monitor = socket.monitor();
        let bound = socket.bind(&endpoint(transport)).unwrap();
        let there = unused(transport);
        socket.connect(&there).unwrap();
        let mut poller = Poller::new();
        socket.watch(&mut poller, Interest::Both);

        let first = socket.close().unwrap();

        assert_eq!(socket.close().unwrap(), first);
        std::thread::scope(|scope| {
            let calls = [(); 3].map(|()| scope.spawn(|| socket.close().unwrap()));
            assert!(calls.into_iter().all(|call| call.join().unwrap() == first));
        });
        assert_eq!(first.peers.len(), 2, "the one that was there, and the one that was not");
        for how in [How::Now, How::Within(LONG), How::Waiting] {
            if it.receives {
                assert_eq!(socket.recv(how), Said::Closed);
            }
            if it.sends != Sends::Never {
                assert_eq!(socket.send(it.message("late"), how), Said::Closed);
            }
        }
        if it.receives {
            assert_eq!(crate::kind::wait(socket.recv_later()), Said::Closed);
        }
        if it.sends != Sends::Never {
            assert_eq!(crate::kind::wait(socket.send_later(it.message("late"))), Said::Closed);
        }
        assert!(matches!(socket.bind(&endpoint(transport)), Err(BindError::Closed)));
        assert!(matches!(socket.connect(&there), Err(ConnectError::Closed)));
        assert!(matches!(socket.unbind(&bound), Err(EndpointError::Closed)));
        assert!(matches!(socket.disconnect(&there), Err(EndpointError::Closed)));
        let ready = poller.wait(None).unwrap().pop().unwrap();
        assert!(ready.closed, "{ready:?}");
        while monitor.recv_timeout(LONG).is_ok() {}
        let stats = socket.stats();
        assert_eq!((stats.out.queued, stats.incoming.queued), (0, 0));
        assert_law(&sockets);
    }
}

/// A receiver that reads gets all, and the report says so.
pub(crate) fn in_the_middle(transport: &str, it: Facts) {
    if !ways(it).contains(&[0, 1]) || it.sends == Sends::Asks {
        return;
    }
    for dials in [Dials::It, Dials::Other] {
        let context = Context::new().unwrap();
        let patient = || Options::default().linger(LONG).send_mark(100);
        let receiver = facts(it.partner);
        let mine = match it.receives {
            true => patient().recv_mark(3),
            false => patient(),
        };
        let theirs = match receiver.sends {
            Sends::Never => brief().recv_mark(3),
            _ => brief().recv_mark(3).send_mark(3),
        };
        let sockets = meet(&context, transport, it, dials, [mine, theirs]);
        let [socket, other] = &sockets;
        let mut sent = 0;
        for number in 0..100 {
            let message = it.message(&format!("{number:0100}"));
            sent += message.byte_count();
            assert!(socket.send(message, How::Within(LONG)).is_done());
        }
        std::thread::scope(|scope| {
            let closing = scope.spawn(|| socket.close().unwrap());
            let mut received = 0;
            while received < sent {
                received += other.recv(How::Within(LONG)).done().byte_count();
            }
            let report = closing.join().unwrap();
            assert!(report.is_confirmed(), "{report:#?}");
            assert!(report.written() >= 100);
        });
        assert_law(&sockets);
    }
}
