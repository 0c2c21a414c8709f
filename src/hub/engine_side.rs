//! How a hub does what the engine asks of it as a [`Station`].

use super::{Collected, Effects, Hub, Link, Origin, Phase, State, Station};
use crate::batch::{Batch, Run, Tally};
use crate::failure::Failure;
use crate::limit::Limit;
use crate::monitor::Event;
use crate::notice::Notice;
use crate::options::Options;
use crate::peer_info::{PeerCredentials, PeerInfo};
use crate::routing::{Awaited, Comer, Pattern, PeerId, PeerKind, Room, Want};
use crate::stats::{CloseReport, DropReason, PeerReport};
use crate::wire::{Facts, Local};
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

impl<P: Pattern> Station for Hub<P> {
    fn key(&self) -> u64 {
        self.key
    }

    fn local(&self) -> &Arc<Local> {
        &self.local
    }

    fn options(&self) -> &Arc<Options> {
        &self.options
    }

    fn linger(&self) -> Duration {
        *self.linger.lock()
    }

    fn ready(
        &self,
        origin: Origin,
        credentials: Option<PeerCredentials>,
        facts: &Facts,
        link: Arc<dyn Link>,
        effects: &mut Effects,
    ) -> Result<PeerId, &'static str> {
        self.step(effects, |state, effects| {
            let id = match origin {
                Origin::Dialed(id) => {
                    state.admit(Some(id), facts)?;
                    id
                }
                Origin::Accepted(_) if !matches!(state.phase, Phase::Open) => return Err("the socket is closed"),
                Origin::Accepted(from) => {
                    state.admit(None, facts)?;
                    let id = state.peers.attach(PeerKind::Accepted, from);
                    state.pattern.attached(&mut state.peers, id);
                    id
                }
            };
            state.link(id, link);
            state.peers.is_a(id, facts.socket_type);
            state.peers.is_wordless_if(id, facts.is_wordless());
            state.peers.introduce(id, |address| {
                let Facts {
                    socket_type,
                    identity,
                    version,
                    metadata,
                    user,
                } = facts.clone();
                PeerInfo::new(address, credentials, socket_type, identity, version, metadata, user)
            });
            effects.drop_later(state.peers.connected(id, facts.identity.clone()));
            state.pattern.connected(&mut state.peers, id);
            state.peers.wants.push(Want::Ready(Awaited::Writable));
            Ok(id)
        })
    }

    fn collect(&self, id: PeerId, written: Tally, spent: Vec<u8>, effects: &mut Effects) -> Collected {
        self.step(effects, |state, effects| {
            effects.look(state.peers.now());
            if written.messages > 0 {
                state.tempo.wrote(written.messages);
                self.clock(state, effects);
            }
            if state.peers.take_owed(id) {
                let notices = state.pattern.notices(&mut state.peers, id, NOTICE_BYTES);
                if !notices.is_empty() {
                    state.peers.give_spare(spent);
                    state.peers.moved(id, written);
                    return Collected::Notices(notices);
                }
            }
            match state.peers.collect(id, written, spent) {
                Some(batch) => Collected::Batch(batch),
                None => Collected::Nothing,
            }
        })
    }

    fn lend(&self, id: PeerId, payload: usize, effects: &mut Effects) -> bool {
        self.step(effects, |state, _| {
            matches!(state.phase, Phase::Open) && state.pattern.lend(&mut state.peers, id, payload)
        })
    }

    fn written_out(&self, id: PeerId, written: Tally, effects: &mut Effects) {
        // Behind the write, which may take longer than what counts as quiet.
        let now = self.drive.now();
        effects.it_is(now);
        self.step(effects, |state, _| {
            state.tempo.wrote(written.messages);
            state.tempo.wrote_last(now);
            state.peers.clock(now);
            state.peers.moved(id, written);
        });
    }

    fn moved(&self, id: PeerId, moved: Tally, effects: &mut Effects) {
        self.step(effects, |state, effects| {
            self.clock(state, effects);
            state.peers.moved(id, moved);
        });
    }

    fn refused(&self, id: PeerId, refused: Tally, why: DropReason, effects: &mut Effects) {
        self.step(effects, |state, _| state.peers.refused(id, refused, why));
    }

    fn offer(&self, id: PeerId) -> bool {
        let mut state = self.state.lock();
        let is_left = state.watchers.is_empty() && !state.waiters.want_messages();
        if is_left {
            state.offered.enter(id);
        }
        is_left
    }

    fn room(&self, id: PeerId) -> Room {
        self.room_of(&mut self.state.lock(), id)
    }

    fn deliver(&self, id: PeerId, run: &mut Run, effects: &mut Effects) -> Room {
        self.step(effects, |state, effects| {
            self.clock(state, effects);
            if matches!(state.phase, Phase::Open) {
                state.pattern.deliver(&mut state.peers, id, run);
            } else {
                state.peers.deliver(id, run);
                effects.drop_later(state.peers.drop_incoming(id, DropReason::Closed));
            }
            self.room_of(state, id)
        })
    }

    fn notice(&self, id: PeerId, notice: Notice, effects: &mut Effects) -> Room {
        self.step(effects, |state, _| {
            if matches!(state.phase, Phase::Open) {
                state.pattern.notice(&mut state.peers, id, notice);
            }
            self.room_of(state, id)
        })
    }

    fn on_alarm(&self, now: Instant, effects: &mut Effects) -> Option<Instant> {
        self.step(effects, |state, _| {
            let is_open = matches!(state.phase, Phase::Open);
            is_open.then(|| state.pattern.on_alarm(&mut state.peers, now))?
        })
    }

    fn lost(&self, id: PeerId, batch: Option<(Batch, usize)>, failure: &Failure, effects: &mut Effects) {
        let why = match failure {
            Failure::ClosedHere => DropReason::Linger,
            Failure::Replaced => DropReason::Replaced,
            _ => DropReason::PeerLost,
        };
        self.step(effects, |state, effects| {
            let now = self.drive.now();
            state.peers.clock(now);
            state.unlink(id);
            if *failure != Failure::ClosedHere {
                self.tell_in_band(state, id);
            }
            let (unwritten, written) = state.peers.disconnected(id, batch, failure.to_string());
            effects.drop_later(written);
            effects.drop_later(state.pattern.disconnected(&mut state.peers, id, unwritten, why));
            if !matches!(state.phase, Phase::Open) {
                // The pattern may have told of it, and nobody will receive that.
                effects.drop_later(state.peers.drop_incoming(id, DropReason::Closed));
            }
            // What was written of its batch has left room in the queue.
            state.pass_on(Awaited::Writable, effects);
            state.peers.time(id, now);
        });
    }

    fn ignored(&self, id: PeerId, commands: u64) {
        self.state.lock().peers.ignored(id, commands);
    }

    fn greeted(&self, id: PeerId, frames: usize, payload: usize) {
        self.state.lock().peers.greeted(id, frames, payload);
    }

    fn round_trip(&self, id: PeerId, took: Duration) {
        self.state.lock().peers.round_trip(id, took);
    }

    fn failed(&self, id: PeerId, failure: &Failure) {
        self.state.lock().peers.failed(id, failure.to_string());
    }

    fn await_vacancy(&self, waiting: Arc<dyn Link>) {
        self.state.lock().turned_away = Some(waiting);
    }

    fn take_vacancy(&self) -> Option<Arc<dyn Link>> {
        self.state.lock().turned_away.take()
    }

    fn retire(&self, id: PeerId, effects: &mut Effects) {
        self.step(effects, |state, _| {
            state.peers.retire(id);
            state.pattern.leaving(&mut state.peers, id);
        });
    }

    fn given_up(&self, id: PeerId, effects: &mut Effects) {
        self.step(effects, |state, _| state.pattern.given_up(&mut state.peers, id));
    }

    fn abandon(&self, id: PeerId, effects: &mut Effects) {
        self.step(effects, |state, effects| {
            state.peers.retire(id);
            state.pattern.leaving(&mut state.peers, id);
            state.pattern.given_up(&mut state.peers, id);
            effects.drop_later(state.peers.drop_queue(id, Vec::new(), DropReason::PeerLost));
        });
    }

    fn detach(&self, id: PeerId, is_confirmed: bool, effects: &mut Effects) {
        let is_finished = self.step(effects, |state, effects| {
            state.peers.clock(self.drive.now());
            let why = match state.peers.kind(id) {
                // It goes only because this side ends it: what is left has had its linger time.
                Some(PeerKind::Dialed) => DropReason::Linger,
                _ => DropReason::PeerLost,
            };
            state.pattern.detached(&mut state.peers, id);
            effects.drop_later(state.peers.drop_queue(id, Vec::new(), why));
            if let (Phase::Closing { report, .. }, Some(stats)) = (&mut state.phase, state.peers.peer_stats(id)) {
                report.peers.push(PeerReport {
                    endpoint: stats.endpoint,
                    confirmed: is_confirmed,
                    written: stats.out.passed,
                    dropped: stats.out.dropped,
                });
            }
            state.unlink(id);
            state.peers.detach(id);
            state.finish(effects)
        });
        self.end_feeds_if(is_finished);
    }

    fn is_leaving(&self, id: PeerId) -> bool {
        self.state.lock().peers.is_leaving(id)
    }

    fn outgoing(&self, id: PeerId) -> usize {
        self.state.lock().peers.outgoing(id)
    }

    fn outgoing_bytes(&self, id: PeerId) -> usize {
        self.state.lock().peers.outgoing_bytes(id)
    }

    fn is_closing(&self) -> bool {
        !self.is_open()
    }

    fn is_engine_done(&self) -> bool {
        match self.state.lock().phase {
            Phase::Open => false,
            Phase::Closing { is_engine_done, .. } => is_engine_done,
            Phase::Closed(_) => true,
        }
    }

    fn is_closed(&self) -> bool {
        self.report().is_some()
    }

    fn begin_close(&self, effects: &mut Effects) -> bool {
        self.step(effects, |state, effects| {
            if !matches!(state.phase, Phase::Open) {
                return false;
            }
            effects.drop_later(state.drop_unread());
            let gone = state.peers.gone();
            state.phase = Phase::Closing {
                report: CloseReport {
                    gone_written: gone.passed,
                    gone_dropped: gone.dropped,
                    ..CloseReport::default()
                },
                is_engine_done: false,
            };
            state.waiters.wake_all(effects);
            true
        })
    }

    fn engine_done(&self, effects: &mut Effects) {
        let is_finished = self.step(effects, |state, effects| {
            if let Phase::Closing { is_engine_done, .. } = &mut state.phase {
                *is_engine_done = true;
            }
            state.finish(effects)
        });
        self.end_feeds_if(is_finished);
    }

    fn expire(&self, effects: &mut Effects) {
        self.step(effects, |state, effects| {
            sever_all(state, &Failure::ClosedHere, effects)
        });
    }

    fn tell(&self, event: Event) {
        self.feeds.tell(&event);
    }

    fn over_limit(&self, limit: Limit) {
        self.strangers.lock().turned_away.add(limit);
    }

    fn handshake_failed(&self, is_told: bool) {
        let mut strangers = self.strangers.lock();
        strangers.failed += 1;
        strangers.untold += u64::from(!is_told);
    }
}

impl<P: Pattern> State<P> {
    /// Asks the pattern for a place. Whoever is in the way has to prove that it is alive.
    fn admit(&mut self, dialed: Option<PeerId>, facts: &Facts) -> Result<(), &'static str> {
        if dialed.is_none() && !self.peers.has_place() {
            return Err("what peers that are gone have left is to be received first");
        }
        let comer = Comer {
            identity: facts.identity.as_ref(),
            user: facts.user.as_ref(),
        };
        let answer = self.pattern.admit(&self.peers, dialed, comer);
        answer.map_err(|no_place| {
            self.peers.wants.extend(no_place.holder.map(Want::Challenge));
            no_place.why
        })
    }
}

impl<P: Pattern> Hub<P> {
    /// Tells the application by a message that its peer is lost, if it wants that.
    fn tell_in_band(&self, state: &mut State<P>, id: PeerId) {
        let in_band = &self.options.in_band;
        let message = match state.peers.kind(id) {
            Some(PeerKind::Accepted) => &in_band.disconnect,
            Some(PeerKind::Dialed) if !state.peers.is_leaving(id) => &in_band.hiccup,
            _ => return,
        };
        if let (Some(message), Phase::Open) = (message, &state.phase) {
            if state.peers.is_over_mark(id) {
                // One stands above the mark already, and a peer that comes and goes would add one each time.
                state.peers.discard(id, 1, message.byte_count(), DropReason::Unnoticed);
                return;
            }
            let mut run = Batch::of(message.clone()).into_run();
            state.pattern.deliver(&mut state.peers, id, &mut run);
        }
    }

    fn end_feeds_if(&self, is_finished: bool) {
        if is_finished {
            self.feeds.end();
        }
    }
}

impl<P: Pattern> Hub<P> {
    /// Tells the peers what time it is.
    #[inline]
    fn clock(&self, state: &mut State<P>, effects: &mut Effects) {
        let now = effects.now(|| self.drive.now());
        state.peers.clock(now);
    }

    /// How much the peer may deliver; if nothing, it is paused from now on.
    fn room_of(&self, state: &mut State<P>, id: PeerId) -> Room {
        let room = state.peers.room(id);
        if room.messages == 0 {
            state.peers.time(id, self.drive.now());
        }
        room
    }
}

/// Bytes of notices that are taken at once.
const NOTICE_BYTES: usize = 32 * 1024;

fn sever_all<P: Pattern>(state: &mut State<P>, failure: &Failure, effects: &mut Effects) {
    for id in state.peers.ids() {
        state.ask(id, super::Ask::Sever(failure.clone()), effects);
    }
}
