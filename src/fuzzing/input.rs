//! Bytes that decide what is done: taken from the front, and zeros once they are used up.

use crate::options::Limits;
use crate::socket_type::SocketType;

/// What is left of them.
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Input(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// Big-endian, and shorter than the type if there are fewer bytes.
    pub(super) fn number(&mut self) -> u64 {
        let bytes = self.take(8);
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    pub(super) fn short(&mut self) -> u16 {
        u16::from(self.byte()) << 8 | u16::from(self.byte())
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below this one, which is not zero.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// At most so many.
    pub(super) fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As many as a byte before them says, or two bytes behind a 255.
    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let most = match self.byte() {
            u8::MAX => self.short().into(),
            most => most.into(),
        };
        self.take(most)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Text of such bytes.
    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// Those of the defaults, or such as little is over.
    pub(super) fn limits(&mut self) -> Limits {
        let few = self.flag();
        Limits {
            message_bytes: if few { 300 } else { 1 << 30 },
            frames: if few { 3 } else { 65_536 },
            handshake_bytes: if few { 800 } else { 16 << 10 },
            metadata_bytes: if few { 512 } else { 9 << 10 },
            properties: if few { 4 } else { 64 },
        }
    }

    /// One that speaks ZMTP, and another that speaks with it.
    pub(super) fn types(&mut self) -> (SocketType, SocketType) {
        self.one_of(&TYPES)
    }
}

use SocketType::*;

pub(super) const TYPES: [(SocketType, SocketType); 19] = [
    (Pull, Push),
    (Push, Pull),
    (Router, Dealer),
    (Dealer, Router),
    (XPub, Sub),
    (Sub, XPub),
    (Pub, XSub),
    (XSub, Pub),
    (Req, Rep),
    (Rep, Req),
    (Pair, Pair),
    (Server, Client),
    (Client, Server),
    (Radio, Dish),
    (Dish, Radio),
    (Scatter, Gather),
    (Gather, Scatter),
    (Peer, Peer),
    (Channel, Channel),
];
