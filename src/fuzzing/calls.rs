//! Sequences of calls on two sockets in a world of its own, with strangers, and a network that misbehaves.
//!
//! After each: what was accepted is written, dropped or queued. In the end both are closed in time, and nothing is left.

use super::input::Input;
use super::played::{Played, pair};
use super::words::{command, greeting, metadata, word};
use crate::message::Message;
use crate::options::{AtMark, Options};
use crate::sim::World;
use crate::sim::laws;
use crate::socket_type::SocketType;
use std::collections::BTreeSet;
use std::io::IoSlice;
use std::time::Duration;

/// Calls, and what happens between them.
pub fn calls(bytes: &[u8]) {
    received(bytes);
}

/// Plays them. How many messages came in all.
pub(super) fn received(bytes: &[u8]) -> usize {
    let mut input = Input::new(bytes);
    let mut game = Game::new(&mut input);
    let mut moves = 0;
    while !input.is_empty() && moves < MOST {
        game.play(&mut input);
        game.check();
        moves += 1;
    }
    game.end()
}

struct Game {
    world: World,
    sockets: [Box<dyn Played>; 2],
    is_closed: [bool; 2],
    /// Ports that are bound.
    bound: BTreeSet<u16>,
    /// Peers that were dialed.
    dialed: usize,
    /// What each has sent.
    sent: [BTreeSet<Vec<u8>>; 2],
    /// Ends of connections of somebody else.
    strangers: Vec<usize>,
    received: usize,
}

impl Game {
    fn new(input: &mut Input<'_>) -> Self {
        let seed = input.number();
        let mut world = World::new(seed, 3);
        world.share(seed);
        let secured = match input.below(8) {
            6 => laws::curve(),
            7 => laws::security(2),
            _ => laws::security(0),
        };
        let at_mark = input.one_of(&[
            AtMark::DropNewest,
            AtMark::DropOldest,
            AtMark::Disconnect,
            AtMark::Block,
        ]);
        let options = secured.map(|security| small(input).security(security).at_mark(at_mark));
        let sockets = pair(&mut world, input, options);
        let mut game = Game {
            world,
            sockets,
            is_closed: [false; 2],
            bound: BTreeSet::new(),
            dialed: 0,
            sent: Default::default(),
            strangers: Vec::new(),
            received: 0,
        };
        // Most games are about two that are connected.
        let who = input.below(3);
        if who < 2 {
            game.listen(who, 1);
            game.dial(1 - who, 1);
        }
        game
    }

    fn play(&mut self, input: &mut Input<'_>) {
        let kind = input.byte();
        let who = usize::from(kind >> 7);
        match kind & 15 {
            0..=2 => self.send(who, input),
            3 | 4 => self.receive(who),
            5 | 6 => (0..input.below(40)).for_each(|_| self.world.step_or_sleep()),
            7 => self
                .world
                .run_for(Duration::from_millis(u64::from(input.short()) % 4_000)),
            8 => self.listen(who, input.below(3) as u16 + 1),
            9 => self.dial(who, input.below(3) as u16 + 1),
            10 if !self.is_closed[who] => {
                let port = input.below(3) as u16 + 1;
                self.sockets[who].disconnect(&self.world, who, port);
            }
            11 => self.sockets[who].want(input.bytes(), input.below(3) > 0),
            12 => self.stranger(input),
            13 => self.network(input),
            14 => self.world.freeze(who, input.flag()),
            15 if input.below(3) == 0 => self.close(who),
            _ => self.world.settle(),
        }
    }

    fn send(&mut self, who: usize, input: &mut Input<'_>) {
        let frames = input.below(3) + 1;
        let mut frames: Vec<Vec<u8>> = (0..frames).map(|_| input.bytes().to_vec()).collect();
        if input.below(16) == 15 {
            frames.push(vec![9; input.short().into()]);
        }
        let message = Message::from_frames(frames).expect("it has a frame");
        if let Some(message) = self.sockets[who].send(message) {
            self.sent[who].insert(bytes_of(&message));
        }
    }

    fn receive(&mut self, who: usize) {
        let Some(message) = self.sockets[who].receive() else {
            return;
        };
        self.received += 1;
        // Those of an XPUB are what others have subscribed to, and those of a STREAM pieces; and some types can be
        // connected to themselves.
        let is_other = matches!(self.sockets[who].socket_type(), SocketType::XPub | SocketType::Stream);
        let is_sent =
            is_other || !self.strangers.is_empty() || self.sent.iter().any(|sent| sent.contains(&bytes_of(&message)));
        assert!(is_sent, "nobody has sent {message:?}");
    }

    fn listen(&mut self, who: usize, port: u16) {
        if !self.is_closed[who] && self.bound.insert(port) {
            self.sockets[who].listen(&self.world, who, port);
        }
    }

    fn dial(&mut self, who: usize, port: u16) {
        if !self.is_closed[who] && self.dialed < 6 {
            self.dialed += 1;
            self.sockets[who].dial(&self.world, who, port);
        }
    }

    fn close(&mut self, who: usize) {
        if !std::mem::replace(&mut self.is_closed[who], true) {
            self.world.close(who, self.sockets[who].station());
        }
    }

    /// Somebody else connects, or says something.
    fn stranger(&mut self, input: &mut Input<'_>) {
        let kind = input.byte();
        if kind & 3 == 0 && self.strangers.len() < 4 {
            let address = ([127, 0, 0, 1], u16::from(kind >> 2) % 3 + 1).into();
            let token = usize::MAX - 1 - self.strangers.len();
            let end = self.world.fabric().connect(2, address, token);
            self.strangers.push(end);
            return;
        }
        let Some(&end) = self.strangers.get(usize::from(kind >> 6) % self.strangers.len().max(1)) else {
            return;
        };
        let mut fabric = self.world.fabric();
        if fabric.connected(end).is_ok_and(|is_open| is_open) {
            let peer = self.sockets[usize::from(kind >> 5 & 1)].socket_type();
            let said = match kind >> 2 & 7 {
                0 => greeting("NULL", false),
                1 => command(b"READY", &metadata(peer)),
                2 => input.bytes().to_vec(),
                _ => word(input, peer),
            };
            if !said.is_empty() {
                let _taken = fabric.write(end, &[IoSlice::new(&said)]);
            }
            let _heard = fabric.read(end, &mut [0; 4096]);
        }
    }

    fn network(&mut self, input: &mut Input<'_>) {
        let mut fabric = self.world.fabric();
        match input.below(6) {
            0 => fabric.has_faults = input.flag(),
            1 => fabric.is_unplugged = input.flag(),
            2 => fabric.is_dark = input.flag(),
            3 => fabric.set_capacity(input.short().into()),
            4 => {
                fabric.piece = usize::from(input.byte()) + 1;
                fabric.has_partial_writes = input.flag();
            }
            _ => {
                let dialed = fabric.dialed();
                if !dialed.is_empty() {
                    let end = dialed[input.below(dialed.len())] ^ input.below(2);
                    fabric.reset(end, input.flag());
                }
            }
        }
    }

    fn check(&self) {
        self.sockets.iter().for_each(|socket| socket.check());
    }

    /// All is well again, and both close.
    fn end(mut self) -> usize {
        {
            let mut fabric = self.world.fabric();
            fabric.has_faults = false;
            fabric.is_unplugged = false;
            fabric.is_dark = false;
            fabric.set_capacity(1 << 16);
            fabric.piece = usize::MAX;
        }
        for who in 0..2 {
            self.world.freeze(who, false);
            self.close(who);
        }
        self.world.run_for(LINGER);
        for socket in &self.sockets {
            socket.check();
            assert!(socket.station().is_closed(), "it does not close");
            assert_eq!(socket.queued(), 0, "something is left");
        }
        assert!(self.world.is_share_whole(), "what is held of nothing is held");
        self.received
    }
}

/// Small marks, short times.
fn small(input: &mut Input<'_>) -> Options {
    Options::default()
        .mark(input.below(8) + 1)
        .linger(Duration::from_millis(u64::from(input.byte()) * 8))
        .connect_timeout(Duration::from_millis(500))
        .handshake_timeout(Duration::from_secs(1))
        .reconnect(Duration::from_millis(10), Duration::from_millis(200))
}

fn bytes_of(message: &Message) -> Vec<u8> {
    message.frames().collect::<Vec<_>>().concat()
}

/// The longest that a socket takes to close, and a moment.
const LINGER: Duration = Duration::from_millis(255 * 8 + 100);
/// More calls are the same again.
const MOST: usize = 150;
