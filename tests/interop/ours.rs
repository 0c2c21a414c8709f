//! Our socket types, as the matrix drives them: all alike.

use crate::common::until;
use crate::peer::LIMIT;
use peermq::*;
use std::time::Duration;

/// A socket of ours. Each type has the verbs that it has; no row of the matrix asks for another.
pub(crate) trait Ours {
    fn watch(&self) -> Monitor;
    fn bind(&self, at: &str) -> String;
    fn connect(&self, to: &str);

    fn send(&self, _frames: &[&[u8]]) {
        unreachable!("this type does not send");
    }

    fn recv(&self) -> Message {
        unreachable!("this type does not receive");
    }

    /// Sends, and gives what comes back.
    fn ask(&self, frames: &[&[u8]]) -> Message {
        self.send(frames);
        self.recv()
    }

    /// Sends back what comes.
    fn echo(&self, check: &dyn Fn(&Message)) {
        let message = self.recv();
        check(&message);
        self.send(&message.frames().collect::<Vec<_>>());
    }

    /// Wants everything, and gives how many publishers know.
    fn subscribe(&self) -> usize {
        unreachable!("this type does not subscribe");
    }

    /// Whether something comes within a moment.
    fn hears(&self) -> bool {
        unreachable!("this type does not subscribe");
    }

    /// Waits until this peer can be sent to.
    fn wait_for_peer(&self, _identity: &str) {
        unreachable!("this type does not send to whom it names");
    }

    /// Waits for one who wants everything.
    fn wait_for_subscriber(&self) {
        unreachable!("this type does not publish");
    }
}

macro_rules! ours {
    ($Type:ident: $($verb:ident)*) => {
        impl Ours for $Type {
            fn watch(&self) -> Monitor {
                self.monitor()
            }

            fn bind(&self, at: &str) -> String {
                $Type::bind(self, at).unwrap().to_string()
            }

            fn connect(&self, to: &str) {
                $Type::connect(self, to).unwrap();
            }

            $(ours!{ @$verb $Type })*
        }
    };
    (@send $Type:ident) => {
        fn send(&self, frames: &[&[u8]]) {
            self.send_timeout(frames, LIMIT).unwrap();
        }
    };
    (@recv $Type:ident) => {
        fn recv(&self) -> Message {
            self.recv_timeout(LIMIT).unwrap()
        }
    };
    (@upstream $Type:ident) => {
        fn recv(&self) -> Message {
            self.recv_timeout(LIMIT).unwrap().into_message()
        }
    };
    // The identity is the first frame, as libzmq has it.
    (@route $Type:ident) => {
        fn send(&self, frames: &[&[u8]]) {
            let to = Identity::new(frames[0]).unwrap();
            self.send_to_timeout(&to, &frames[1..], LIMIT).unwrap();
        }

        fn recv(&self) -> Message {
            let (from, message) = self.recv_timeout(LIMIT).unwrap();
            let frames = [from.as_bytes()].into_iter().chain(message.frames());
            Message::from_frames(frames).unwrap()
        }

        fn wait_for_peer(&self, identity: &str) {
            let identity = Identity::new(identity).unwrap();
            until("it is there", || self.identities().contains(&identity));
        }
    };
    (@ask $Type:ident) => {
        fn ask(&self, frames: &[&[u8]]) -> Message {
            self.request_timeout(frames, LIMIT).unwrap()
        }
    };
    (@echo $Type:ident) => {
        fn echo(&self, check: &dyn Fn(&Message)) {
            let request = self.recv_timeout(LIMIT).unwrap();
            check(request.message());
            let reply = request.message().clone();
            request.reply(reply).unwrap();
        }
    };
    (@subscribe $Type:ident) => {
        fn subscribe(&self) -> usize {
            self.subscribe_confirmed("", LIMIT).unwrap()
        }

        fn hears(&self) -> bool {
            self.recv_timeout(Duration::from_millis(20)).is_ok()
        }
    };
    (@publish $Type:ident) => {
        fn wait_for_subscriber(&self) {
            self.wait_for_subscribers("", 1, LIMIT).unwrap();
        }
    };
}

ours!(Push: send);
ours!(Pull: recv);
ours!(Pair: send recv);
ours!(Req: ask);
ours!(Rep: echo);
ours!(Dealer: send recv);
ours!(Router: route);
ours!(Pub: send publish);
ours!(XPub: send upstream publish);
ours!(Sub: recv subscribe);
ours!(XSub: send recv subscribe);

/// A socket of one of the eleven types. Who has a name is called "ours".
pub(crate) fn make(socket_type: SocketType, context: &Context, options: Options) -> Box<dyn Ours> {
    let named = || options.clone().identity(Identity::new("ours").unwrap());
    match socket_type {
        SocketType::Req => Box::new(Req::with_options(context, named()).unwrap()),
        SocketType::Dealer => Box::new(Dealer::with_options(context, named()).unwrap()),
        SocketType::Router => Box::new(Router::with_options(context, named()).unwrap()),
        SocketType::Pair => Box::new(Pair::with_options(context, options).unwrap()),
        SocketType::Pub => Box::new(Pub::with_options(context, options).unwrap()),
        SocketType::Sub => Box::new(Sub::with_options(context, options).unwrap()),
        SocketType::Rep => Box::new(Rep::with_options(context, options).unwrap()),
        SocketType::Pull => Box::new(Pull::with_options(context, options).unwrap()),
        SocketType::Push => Box::new(Push::with_options(context, options).unwrap()),
        SocketType::XPub => Box::new(XPub::with_options(context, options).unwrap()),
        SocketType::XSub => Box::new(XSub::with_options(context, options).unwrap()),
        other => unreachable!("{other} is none of the eleven"),
    }
}
