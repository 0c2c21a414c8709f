//! The source's own thread: takes in what workers say, and does what the ledger wants.

use super::desk::{Found, Heard, Sending, Shared, run};
use super::doors::Doors;
use crate::chance::SplitMix64;
use crate::confirmed::dead::{DeadLetter, Sink};
use crate::confirmed::ledger::WorkerId;
use crate::confirmed::wire::{FromSource, FromWorker, Malformed, TaskId};
use crate::engine::seat::drive_here;
use crate::error::{NotSent, RecvError};
use crate::hub::{Drive, Effects};
use crate::identity::Identity;
use crate::message::{Message, Outgoing};
use crate::peer_info::PeerInfo;
use crate::poller::{Watch, wait_for_any};
use crate::socket::router::{Heard as FromPeer, Router};
use crate::sync::catch;
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, error, warn};

/// What the thread has for itself.
pub(super) struct Clerk {
    shared: Arc<Shared>,
    router: Arc<Router>,
    watch: Watch,
    drives: [Arc<dyn Drive>; 1],
    doors: Doors,
    sink: Option<Sink>,
    chance: SplitMix64,
    /// When to look for connections that are over and were not told.
    sweep_at: Option<Instant>,
    /// The head that is being written.
    head: Vec<u8>,
}

impl Clerk {
    pub(super) fn new(
        shared: Arc<Shared>,
        router: Arc<Router>,
        watch: Watch,
        drive: Arc<dyn Drive>,
        sink: Option<Sink>,
        chance: SplitMix64,
    ) -> Self {
        Clerk {
            shared,
            router,
            watch,
            drives: [drive],
            doors: Doors::default(),
            sink,
            chance,
            sweep_at: None,
            head: Vec::new(),
        }
    }

    /// Works until the source is stopped or its context is closed.
    pub(super) fn run(mut self) {
        // What is the application's may panic when it is dropped.
        if catch(|| self.work()).is_err() {
            error!("a source's thread panicked; its tasks are not delivered any more");
        }
        let mut effects = Effects::default();
        let unstored = self.shared.desk().end(&mut effects);
        self.shared.keeper.ring();
        run(effects);
        let _panicked = catch(|| drop(unstored));
        self.router.set_linger(LINGER);
        if let Err(error) = self.router.close() {
            debug!(%error, "a source's socket is gone already");
        }
    }

    fn work(&mut self) {
        // Turns since what was heard was all that had come, and those since there was nothing more to be done.
        let (mut behind, mut cut) = (0, 0);
        let mut is_open = true;
        loop {
            // What was said is answered first, but workers are not left waiting for the whole of a long queue; once it stops,
            // nothing more is heard.
            let is_deaf = !is_open || cut > 0 && (self.shared.desk().is_stopping || cut % DEAF_TURNS != 0);
            let mut heard = Vec::new();
            if !is_deaf {
                is_open = self.listen(&mut heard);
            }
            // What is over is not looked for before what was said meanwhile is heard: a lease may be over, and the task done.
            behind = if is_deaf || heard.len() >= MOST_HEARD {
                behind + 1
            } else {
                0
            };
            let is_all = behind == 0 || behind % MOST_BEHIND == 0;
            let now = self.shared.now();
            let mut desk = self.shared.desk();
            let found = desk.turn(now, heard.into_iter(), is_all);
            let is_stopping = desk.is_stopping;
            let deadline = desk.ledger.deadline();
            drop(desk);
            cut = if found.is_cut { cut + 1 } else { 0 };
            self.carry_out(found, now);
            if cut > 0 {
                continue;
            }
            if !is_open || is_stopping {
                return;
            }
            if behind == 0 {
                self.wait(deadline);
            }
        }
    }

    /// Takes in what came, up to a limit. Whether the socket is open.
    fn listen(&mut self, heard: &mut Vec<(WorkerId, Heard, u32)>) -> bool {
        let now = self.shared.now();
        if self.sweep_at.is_none_or(|at| at <= now) {
            self.sweep_at = now.checked_add(BETWEEN_SWEEPS);
            for identity in self.doors.stale(|identity| self.router.connection(identity)) {
                self.lost(&identity, heard);
            }
        }
        while heard.len() < MOST_HEARD {
            match self.router.try_hear() {
                Ok(FromPeer::Message(identity, message, info)) => self.hear(&identity, &message, &info, heard),
                Ok(FromPeer::News(identity)) => {
                    // Unless it is of an earlier connection.
                    let connection = self.router.connection(&identity);
                    if !self.doors.is_at(&identity, connection.as_ref()) {
                        self.lost(&identity, heard);
                    }
                }
                Err(RecvError::WouldBlock) => break,
                Err(_) => return false,
            }
        }
        true
    }

    fn hear(
        &mut self,
        identity: &Identity,
        message: &Message,
        info: &Arc<PeerInfo>,
        heard: &mut Vec<(WorkerId, Heard, u32)>,
    ) {
        let (door, earlier) = self.doors.enter(identity, info);
        let (id, is_closing) = (door.id, door.is_closing);
        heard.extend(earlier.map(|earlier| (earlier, Heard::Lost, 0)));
        if is_closing {
            return;
        }
        let said = match message.frame_count() {
            1 => FromWorker::parse(message.first()),
            _ => Err(Malformed::Form("frames stand behind its head")),
        };
        let said = match said {
            Ok(said) => Heard::Said(said),
            Err(why) => {
                debug!(%identity, %why, "a worker was not understood");
                Heard::Malformed(why)
            }
        };
        heard.push((id, said, self.chance.next_u32()));
    }

    fn lost(&mut self, identity: &Identity, heard: &mut Vec<(WorkerId, Heard, u32)>) {
        if let Some(id) = self.doors.leave(identity) {
            heard.push((id, Heard::Lost, 0));
            // What it did not get goes to others; it is not to find it there when it is back.
            self.router.drop_waiting(identity);
        }
    }

    /// Does what was found, while no lock is held.
    fn carry_out(&mut self, found: Found, now: Instant) {
        self.send(&found.sends, now);
        for id in found.closes {
            self.close(id);
        }
        let (mut effects, mut concerns_keeper) = (found.effects, found.concerns_keeper);
        for (id, letter) in found.letters {
            concerns_keeper |= self.bury(now, id, letter, &mut effects);
        }
        if concerns_keeper {
            self.shared.keeper.ring();
        }
        run(effects);
        let _panicked = catch(|| drop(found.spent));
    }

    /// Those of a chunk go together: they are written once all of them are queued.
    fn send(&mut self, sends: &[Sending], now: Instant) {
        for chunk in sends.chunks(TOGETHER) {
            let mut full = Vec::new();
            let (doors, out) = (&mut self.doors, &mut self.head);
            self.router.send_each(|send| {
                for (to, head, message) in chunk {
                    if *head == FromSource::Who && !doors.door_of(*to).is_some_and(|(_, door)| door.may_ask(now)) {
                        continue;
                    }
                    let Some(identity) = doors.identity(*to) else {
                        continue;
                    };
                    out.clear();
                    head.put(out);
                    match send_one(send, identity, out, message.as_ref()) {
                        Ok(()) => {}
                        // It takes credit for far more than it reads: what it has goes to others.
                        Err(NotSent::PeerFull) => full.push(*to),
                        // The end of its connection is on its way.
                        Err(_) => {}
                    }
                }
            });
            full.into_iter().for_each(|id| self.close(id));
        }
    }

    fn close(&mut self, id: WorkerId) {
        if let Some((identity, door)) = self.doors.door_of(id) {
            door.is_closing = true;
            self.router.end_connection(identity);
        }
    }

    /// Whether the keeper is to be told.
    fn bury(&mut self, now: Instant, id: TaskId, letter: DeadLetter, effects: &mut Effects) -> bool {
        let why = letter.why.clone();
        let failed = match &mut self.sink {
            None => {
                warn!(task = letter.id, %why, "a task is dead, and nothing takes dead letters");
                None
            }
            Some(sink) => {
                // What would wait in it would wait for this thread.
                let _driving = drive_here();
                match catch(|| sink(letter).map_err(|error| error.to_string())) {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(error),
                    Err(_) => Some(String::from("it panicked")),
                }
            }
        };
        if let Some(error) = &failed {
            error!(task = id.0.get(), error, "a dead letter was not taken");
        }
        self.shared.desk().buried(now, id, why, failed.is_some(), effects)
    }

    /// Until something is said, rung for or over.
    fn wait(&mut self, deadline: Option<Instant>) {
        let deadline = [deadline, self.sweep_at].into_iter().flatten().min();
        let (watch, shared) = (&mut self.watch, &self.shared);
        let _found = wait_for_any(&self.drives, &shared.clerk.signal, deadline, || {
            let ready = watch.look();
            let is_rung = shared.clerk.was_rung();
            (is_rung || ready.readable || ready.closed).then_some(())
        });
    }
}

/// Of a message of several frames the slices lie in a list; most have one.
fn send_one(
    send: &mut dyn FnMut(&Identity, Outgoing<'_>) -> Result<(), NotSent>,
    to: &Identity,
    head: &[u8],
    message: Option<&Message>,
) -> Result<(), NotSent> {
    let Some(message) = message else {
        return send(to, head.into());
    };
    if message.byte_count() >= BY_REFERENCE {
        let frames = std::iter::once(Bytes::copy_from_slice(head)).chain(message.clone().into_frames());
        return Message::from_frames(frames).map_or(Ok(()), |message| send(to, message.into()));
    }
    if message.frame_count() == 1 {
        return send(to, [head, message.first()].as_slice().into());
    }
    let frames: Vec<&[u8]> = std::iter::once(head).chain(message.frames()).collect();
    send(to, frames.as_slice().into())
}

/// How long the socket goes on sending what it has when the source is closed.
const LINGER: Duration = Duration::from_secs(1);
/// Between two looks for connections that are over.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(5);
/// Messages taken in before they are answered.
const MOST_HEARD: usize = 256;
/// After so many turns in which not all was heard, what is over is looked for all the same.
const MOST_BEHIND: u32 = 64;
/// Of so many turns that were cut, one hears.
const DEAF_TURNS: u32 = 8;
/// Messages sent under one lock.
const TOGETHER: usize = 64;
/// Messages of so many bytes are not copied behind their heads.
const BY_REFERENCE: usize = 4096;
