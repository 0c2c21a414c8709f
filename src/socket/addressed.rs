//! Sending to one peer that is named: never waiting, or for that peer's room.

use super::{Patience, Socket, given_back, one_frame};
use crate::error::{NotSent, SendError};
use crate::hub::{Closed, deadline};
use crate::message::Outgoing;
use crate::routing::{Addressed, Awaited, NoRoute, PeerId, Peers};
use std::task::Poll;

impl<P: Addressed> Socket<P> {
    pub(crate) fn send_to(&self, to: &P::Name, message: Outgoing<'_>, patience: Patience) -> Result<(), SendError> {
        let mut message = one_frame::<P>(message)?;
        let waits = !matches!(patience, Patience::None);
        // Who does not wait may be refused, and has then copied nothing.
        if message.is_large_lent() && (waits || self.has_room_at(to)) {
            message.copy_large_lent(|frame| self.core.copies.copy(frame));
        }
        let sent = match (self.try_to(to, &mut message, waits), patience) {
            (Err(Refusal::Full(at)), Patience::Limit(limit)) => {
                let deadline = deadline(&**self.hub.drive(), limit);
                self.wait_for_peer(at, to, &mut message, deadline)
            }
            (Err(refusal), _) => Err(refusal.reason()),
            (Ok(()), _) => Ok(()),
        };
        if sent.is_ok() && waits && message.is_copy() {
            self.core.copies.keep_near();
        }
        sent.map_err(|reason| given_back(reason, message))
    }

    pub(crate) async fn send_to_async(&self, to: &P::Name, message: Outgoing<'_>) -> Result<(), SendError> {
        let mut message = one_frame::<P>(message)?;
        message.copy_large_lent(|frame| self.core.copies.copy(frame));
        let mut sent = self.try_to(to, &mut message, true);
        while let Err(Refusal::Full(at)) = sent {
            let step = |pattern: &mut P, peers: &mut Peers| step(pattern, peers, at, to, &mut message);
            sent = match self.hub.pending(Awaited::WritablePeer(at), step).await {
                Ok(result) => result,
                Err(Closed) => Err(Refusal::Closed),
            };
        }
        sent.map_err(|refusal| given_back(refusal.reason(), message))
    }

    fn try_to(&self, to: &P::Name, message: &mut Outgoing<'_>, waits: bool) -> Result<(), Refusal> {
        let step = |pattern: &mut P, peers: &mut Peers| Some(send_or_drop(pattern, peers, to, message, waits));
        match self.hub.attempt(Awaited::Writable, step) {
            Poll::Ready(Ok(result)) => result,
            Poll::Ready(Err(Closed)) | Poll::Pending => Err(Refusal::Closed),
        }
    }

    /// Waits on this thread for the room of whoever has the name, which may be another one by then.
    fn wait_for_peer(
        &self,
        first: PeerId,
        to: &P::Name,
        message: &mut Outgoing<'_>,
        deadline: Option<std::time::Instant>,
    ) -> Result<(), NotSent> {
        let mut at = first;
        loop {
            let step = |pattern: &mut P, peers: &mut Peers| step(pattern, peers, at, to, message);
            match self.hub.wait(Awaited::WritablePeer(at), deadline, step) {
                Ok(Err(Refusal::Full(other))) => at = other,
                Ok(result) => return result.map_err(Refusal::reason),
                Err(stop) => return Err(stop.into()),
            }
        }
    }

    fn has_room_at(&self, to: &P::Name) -> bool {
        self.hub.act(|pattern, peers| pattern.has_room_at(peers, to))
    }
}

/// One step of who waits for this peer's room: `None` is to wait on.
fn step<P: Addressed>(
    pattern: &mut P,
    peers: &mut Peers,
    at: PeerId,
    to: &P::Name,
    message: &mut Outgoing<'_>,
) -> Option<Result<(), Refusal>> {
    match send_or_drop(pattern, peers, to, message, true) {
        Err(Refusal::Full(full)) if full == at => None,
        result => Some(result),
    }
}

fn send_or_drop<P: Addressed>(
    pattern: &mut P,
    peers: &mut Peers,
    to: &P::Name,
    message: &mut Outgoing<'_>,
    waits: bool,
) -> Result<(), Refusal> {
    let Err(no_route) = pattern.send_to(peers, to, message) else {
        return Ok(());
    };
    match no_route {
        NoRoute::Full(at) if waits => Err(Refusal::Full(at)),
        _ if pattern.drop_instead(peers, no_route, message.byte_count()) => Ok(()),
        NoRoute::Full(at) => Err(Refusal::Full(at)),
        NoRoute::Unknown => Err(Refusal::Unknown),
    }
}

/// Why a message was not taken.
enum Refusal {
    Unknown,
    Full(PeerId),
    Closed,
}

impl Refusal {
    fn reason(self) -> NotSent {
        match self {
            Refusal::Unknown => NotSent::UnknownPeer,
            Refusal::Full(_) => NotSent::PeerFull,
            Refusal::Closed => NotSent::Closed,
        }
    }
}
