//! The limit: the system's blocking sockets, a length of four bytes before each message, and nothing else.
//!
//! Streams of messages below 64 KiB are batched: writes of 256 KiB (128 KiB over ipc) were best. Longer ones are written from
//! where they lie, and none is put together by who reads: 256 KiB at a time, but over tcp 64 KiB for messages from 1 KiB on,
//! which keeps to the cache. Who asks writes each message and waits. Who receives from several reads each in a thread
//! of its own.

use crate::contender::blocking::{Contender, Socket};
use crate::contender::{About, Cannot, Kind, Place};
use crate::roles::blocking::Role;
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, sync_channel};

const TCP_WRITE: usize = 256 << 10;
const IPC_WRITE: usize = 128 << 10;
const READ: usize = 256 << 10;
/// Messages from this size on are read [`SHORT_READ`] at a time.
const TCP_SHORT_READS: usize = 1 << 10;
const SHORT_READ: usize = 64 << 10;
const IPC_SHORT_READS: usize = 256 << 10;
/// Messages from this size on are written from where they lie.
const LONG: usize = 64 << 10;
const HEADER: usize = 4;

pub struct Raw;

impl Contender for Raw {
    type Context = ();

    fn about() -> About {
        let settings = "no library: writes of 256 KiB (ipc: 128), from 64 KiB on of each message alone; reads of 256 KiB (64 for messages from 1 KiB; ipc: from 256 KiB)";
        About::new("raw", "sockets", settings)
    }

    fn context() {}

    fn open(_: (), kind: Kind, place: Place, role: Role) -> Result<(), Cannot> {
        if place.is_inproc() {
            return Err(Cannot);
        }
        let (batch, short_reads) = if place.endpoint().starts_with("tcp:") {
            (TCP_WRITE, TCP_SHORT_READS)
        } else {
            (IPC_WRITE, IPC_SHORT_READS)
        };
        let (deal, gather) = match kind {
            Kind::Pub => (Deal::ToAll, batch),
            Kind::Push => (Deal::InTurn, batch),
            Kind::Pull | Kind::Sub(0) => (Deal::InTurn, 0),
            Kind::Req | Kind::Rep => (Deal::InTurn, usize::MAX),
            _ => return Err(Cannot),
        };
        let mut streams = streams(&place, &role);
        let incoming = match streams.as_mut_slice() {
            [stream] => Incoming::One(stream.try_clone().expect("a copy")),
            _ if kind == Kind::Pull => Incoming::Many(merge(streams.split_off(0))),
            _ => Incoming::None,
        };
        role.run(Connections {
            streams,
            deal,
            gather,
            batch: Vec::with_capacity(2 * TCP_WRITE),
            turn: 0,
            incoming,
            buffer: vec![0; READ],
            chunk: READ,
            short_reads,
            read: 0,
            filled: 0,
        });
        Ok(())
    }
}

/// Whose is the next batch?
#[derive(PartialEq, Eq)]
enum Deal {
    InTurn,
    ToAll,
}

struct Connections {
    streams: Vec<File>,
    deal: Deal,
    /// A batch is written when it has grown to this.
    gather: usize,
    batch: Vec<u8>,
    turn: usize,
    incoming: Incoming,
    buffer: Vec<u8>,
    /// So much is read at a time.
    chunk: usize,
    /// Messages from this size on are read less at a time.
    short_reads: usize,
    /// Of the buffer, `read..filled` is yet to be looked at.
    read: usize,
    filled: usize,
}

enum Incoming {
    None,
    One(File),
    /// Whole messages of one connection at a time.
    Many(Receiver<Vec<u8>>),
}

fn streams(place: &Place, role: &Role) -> Vec<File> {
    let (scheme, address) = place.endpoint().split_once("://").expect("an endpoint");
    let tcp = |stream: TcpStream| {
        stream.set_nodelay(true).expect("no delay");
        File::from(OwnedFd::from(stream))
    };
    let unix = |stream: UnixStream| File::from(OwnedFd::from(stream));
    match (scheme, place) {
        ("tcp", Place::Bind { peers, .. }) => {
            let listener = TcpListener::bind(address).expect("bind");
            role.opened();
            (0..*peers).map(|_| tcp(listener.accept().expect("a peer").0)).collect()
        }
        ("tcp", Place::Connect { .. }) => vec![tcp(TcpStream::connect(address).expect("connect"))],
        (_, Place::Bind { peers, .. }) => {
            let listener = UnixListener::bind(address).expect("bind");
            role.opened();
            (0..*peers)
                .map(|_| unix(listener.accept().expect("a peer").0))
                .collect()
        }
        (_, Place::Connect { .. }) => vec![unix(UnixStream::connect(address).expect("connect"))],
    }
}

fn header(bytes: &[u8]) -> usize {
    u32::from_le_bytes(bytes[..HEADER].try_into().expect("four bytes")) as usize
}

fn merge(streams: Vec<File>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(streams.len());
    for mut stream in streams {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut rest = Vec::new();
            loop {
                let mut run = Vec::with_capacity(READ);
                run.append(&mut rest);
                let begin = run.len();
                run.resize(begin + READ, 0);
                let count = stream.read(&mut run[begin..]).expect("read");
                run.truncate(begin + count);
                let mut whole = 0;
                while run.len() >= whole + HEADER && run.len() - whole - HEADER >= header(&run[whole..]) {
                    whole += HEADER + header(&run[whole..]);
                }
                rest.extend_from_slice(&run[whole..]);
                run.truncate(whole);
                if count == 0 || sender.send(run).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

impl Connections {
    /// Has at least so many bytes to look at.
    #[cold]
    fn fill(&mut self, wanted: usize) {
        while self.filled - self.read < wanted {
            match &mut self.incoming {
                Incoming::One(stream) => {
                    self.buffer.copy_within(self.read..self.filled, 0);
                    (self.read, self.filled) = (0, self.filled - self.read);
                    let count = stream.read(&mut self.buffer[self.filled..self.chunk]).expect("read");
                    assert_ne!(count, 0, "the peer is gone");
                    self.filled += count;
                }
                Incoming::Many(runs) => {
                    self.buffer = runs.recv().expect("peers");
                    (self.read, self.filled) = (0, self.buffer.len());
                }
                Incoming::None => unreachable!("nothing comes in"),
            }
        }
    }

    fn write(&mut self, message: &[u8]) {
        let streams = self.streams.len();
        let chosen = match self.deal {
            Deal::ToAll => 0..streams,
            Deal::InTurn => self.turn % streams..self.turn % streams + 1,
        };
        self.turn += 1;
        for stream in &mut self.streams[chosen] {
            let mut parts = &mut [IoSlice::new(&self.batch), IoSlice::new(message)][..];
            while !parts.is_empty() {
                let count = stream.write_vectored(parts).expect("write");
                IoSlice::advance_slices(&mut parts, count);
            }
        }
        self.batch.clear();
    }
}

impl Socket for Connections {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        self.batch.extend_from_slice(&(message.len() as u32).to_le_bytes());
        if message.len() >= LONG {
            return self.write(message);
        }
        self.batch.extend_from_slice(message);
        if self.batch.len() >= self.gather {
            self.write(&[]);
        }
    }

    fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.write(&[]);
        }
    }

    #[inline]
    fn recv(&mut self) -> (usize, u8) {
        if self.filled - self.read <= HEADER {
            self.fill(HEADER + 1);
        }
        let len = header(&self.buffer[self.read..]);
        let first = self.buffer[self.read + HEADER];
        self.read += HEADER;
        if self.filled - self.read >= len {
            self.read += len;
            return (len, first);
        }
        if len >= self.short_reads {
            self.chunk = SHORT_READ;
        }
        let mut left = len;
        loop {
            let here = left.min(self.filled - self.read);
            self.read += here;
            left -= here;
            if left == 0 {
                return (len, first);
            }
            self.fill(1);
        }
    }

    fn echo(&mut self) {
        let (len, first) = self.recv();
        self.send(&vec![first; len]);
        self.flush();
    }
}
