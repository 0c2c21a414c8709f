//! One handshake and one byte stream: what came in, what it means, what to answer.
//!
//! Joins the handshake, the inbox and the commands. A connection that failed *is* its failure: it is asked only for
//! what it still has to say. Writing messages needs no connection: a batch is already in ZMTP's framing.

use super::command::{Command, ERROR, PING, PONG, READY};
use super::greeting::greeting;
use super::handshake::{Handshake, Next};
use super::heartbeat::{Heard, Pong, answered, time_to_live};
use super::inbox::{Inbox, Taken};
use super::mechanism::{Accord, Mechanism, Seals, null};
use super::notices::{answer, notice};
use super::sealing::{Opener, Sealer};
use super::{AT_ONCE, Credit, Facts, Form, Fresh, Local, Said, Side, Step, datagram, raw};
use crate::batch::{Buffers, Run};
use crate::failure::{Failure, Stage};
use crate::notice::Notice;
use crate::security::User;
use bytes::Bytes;
use std::sync::Arc;

/// The other end as bytes see it.
#[derive(Debug)]
pub(crate) struct Connection {
    local: Arc<Local>,
    side: Side,
    form: Form,
    state: State,
    /// Greeting, READY and ERROR that wait to go out, in this order; a few hundred bytes at most.
    handshake: Vec<u8>,
    /// The one PONG that waits; a newer replaces it, so that a peer that pings and does not read costs nothing.
    pong: Option<Box<Pong>>,
    /// The same of those that answer a question: a sign of life may not take the place of an answer.
    answer: Option<Box<Pong>>,
    heard: Heard,
    /// Whom those who let the peer in take it for.
    user: Option<Box<User>>,
    /// Opens what comes in traffic, if that is sealed.
    opener: Option<Box<Opener>>,
    /// What was given back of the last input is opened.
    is_opened: bool,
    /// Commands in traffic.
    commands: u64,
    /// Those of them that mean nothing to us.
    unknown_commands: u64,
}

#[derive(Debug)]
enum State {
    ExpectPeer(Handshake),
    /// A raw stream, or datagrams, of which our socket does not know yet.
    Unknown,
    /// The peer has said what it is; our socket has not said whether it takes the peer. `None`: on a raw stream, and with
    /// datagrams.
    ExpectVerdict(Option<Accord>),
    Traffic(Inbox),
    Raw,
    Datagrams,
    Ended {
        stage: Stage,
        failure: Failure,
    },
}

impl Connection {
    /// A connection that nothing came over yet. Our greeting is ready to go; on a raw stream, and with datagrams, there is
    /// none, and the peer is ready before it says anything.
    pub(crate) fn new(local: Arc<Local>, side: Side, form: Form, fresh: Fresh) -> Self {
        let (state, handshake) = match form {
            Form::Raw | Form::Datagrams => (State::Unknown, Vec::new()),
            Form::Framed => (
                State::ExpectPeer(Handshake::new(fresh)),
                greeting(Mechanism::of(&local.role)),
            ),
        };
        Connection {
            local,
            side,
            form,
            state,
            handshake,
            pong: None,
            answer: None,
            heard: Heard::default(),
            user: None,
            opener: None,
            is_opened: false,
            commands: 0,
            unknown_commands: 0,
        }
    }

    /// Takes of `input` what it may, from its front; whole messages go to the end of `run`, also those before a failure.
    ///
    /// [`Step::More`] leaves the input empty. A message that was begun on credit is finished whatever the credit is now.
    pub(crate) fn handle_received(
        &mut self,
        input: &mut Bytes,
        credit: Credit,
        buffers: &mut Buffers,
        run: &mut Run,
    ) -> Result<Step, Failure> {
        match &self.state {
            State::ExpectPeer(_) => self.handle_handshake(input),
            State::Unknown => {
                self.state = State::ExpectVerdict(None);
                Ok(Step::Ready(match self.form {
                    Form::Datagrams => Facts::of_datagrams(self.local.socket_type),
                    Form::Raw | Form::Framed => Facts::raw(),
                }))
            }
            State::Datagrams => Ok(datagram::take(input, credit, &self.local.limits, run)),
            State::Raw => Ok(raw::take(input, credit, &self.local.limits, run)),
            State::ExpectVerdict(_) => Ok(Step::Paused),
            State::Traffic(_) if self.opener.is_some() => self.handle_sealed(input, credit, buffers, run),
            State::Traffic(_) => self.handle_traffic(input, credit, buffers, run),
            State::Ended { failure, .. } => Err(failure.clone()),
        }
    }

    /// Where the rest of a large body, and a header behind it, is read straight into its place; `None`: read into a
    /// chunk. Never empty.
    pub(crate) fn body_wanted(&mut self) -> Option<&mut [u8]> {
        match &mut self.state {
            State::Traffic(inbox) => match &mut self.opener {
                Some(opener) => opener.body_wanted(),
                None => inbox.body_wanted(),
            },
            _ => None,
        }
    }

    /// `n` bytes were read into what [`Connection::body_wanted`] gave. Gives what lies behind the body: the next input.
    pub(crate) fn handle_body(&mut self, n: usize, buffers: &mut Buffers, run: &mut Run) -> Result<Bytes, Failure> {
        match &mut self.state {
            State::Traffic(inbox) => Ok(match &mut self.opener {
                Some(opener) => {
                    let opened = opener.handle_body(n, buffers);
                    self.is_opened = !opened.is_empty();
                    opened
                }
                None => inbox.handle_body(n, buffers, run),
            }),
            State::Ended { failure, .. } => Err(failure.clone()),
            State::ExpectPeer(_) | State::Unknown | State::ExpectVerdict(_) | State::Raw | State::Datagrams => {
                debug_assert!(false, "no body was wanted");
                Ok(Bytes::new())
            }
        }
    }

    /// The peer's stream ended here: why this connection is over.
    pub(crate) fn handle_end(&self) -> Failure {
        match &self.state {
            State::Unknown | State::Raw | State::Datagrams => Failure::ClosedByPeer,
            State::ExpectPeer(_) | State::ExpectVerdict(_) => Failure::CutShort { what: "the handshake" },
            State::Traffic(inbox) => match inbox.in_the_middle_of() {
                None if self.opener.as_ref().is_some_and(|opener| !opener.is_empty()) => {
                    Failure::CutShort { what: "a message" }
                }
                None => Failure::ClosedByPeer,
                Some(what) => Failure::CutShort { what },
            },
            State::Ended { failure, .. } => failure.clone(),
        }
    }

    /// Who claims to come in may: the handshake goes on, or ends if what it says of itself will not do.
    pub(crate) fn admit(&mut self, user: Option<User>) -> Result<(), Failure> {
        debug_assert!(self.awaits_admission(), "nobody asked");
        self.user = user.map(Box::new);
        let stage = self.stage();
        match std::mem::replace(&mut self.state, State::ExpectVerdict(None)) {
            State::ExpectPeer(handshake) => match handshake.admit(&self.local, self.side, &mut self.handshake) {
                Ok(handshake) => self.state = State::ExpectPeer(handshake),
                Err(failure) => return Err(self.end_at(stage, failure)),
            },
            other => self.state = other,
        }
        Ok(())
    }

    /// It may not, for this reason, which it is not told: an ERROR goes out. Gives why the connection is over.
    pub(crate) fn deny(&mut self, why: String) -> Failure {
        self.error(DENIED, why)
    }

    /// Nobody can say whether it may. Otherwise the same.
    pub(crate) fn fail(&mut self, why: String) -> Failure {
        self.error(FAILED, why)
    }

    fn error(&mut self, status: &str, why: String) -> Failure {
        debug_assert!(self.awaits_admission(), "nobody asked");
        null::put_error(&mut self.handshake, status);
        self.end(Failure::NotAdmitted { why })
    }

    /// It may not now: nothing is said, so that it tries again. Gives why the connection is over.
    pub(crate) fn turn_away(&mut self, why: String) -> Failure {
        debug_assert!(self.awaits_admission(), "nobody asked");
        self.end(Failure::NotAdmitted { why })
    }

    /// Whether nothing goes on until [`Connection::admit`] or [`Connection::deny`].
    pub(crate) fn awaits_admission(&self) -> bool {
        matches!(&self.state, State::ExpectPeer(handshake) if handshake.awaits_admission())
    }

    /// Our socket takes the peer. Our READY is queued unless it was said earlier; traffic follows, sealed if there is what
    /// to seal it with.
    pub(crate) fn accept(&mut self) -> Option<Sealer> {
        debug_assert!(matches!(self.state, State::ExpectVerdict(_)), "nobody asked");
        match (self.form, &mut self.state) {
            (Form::Raw, _) => self.state = State::Raw,
            (Form::Datagrams, _) => self.state = State::Datagrams,
            (Form::Framed, State::ExpectVerdict(accord)) => {
                let accord = accord.take();
                self.state = State::Traffic(Inbox::new(Arc::clone(&self.local)));
                let seals = accord.and_then(|accord| accord.conclude(&self.local, &mut self.handshake));
                if let Some(seals) = seals {
                    let Seals { sealer, opener } = *seals;
                    self.opener = Some(Box::new(opener));
                    return Some(sealer);
                }
            }
            (Form::Framed, _) => {}
        }
        None
    }

    /// It does not; with an ERROR for what cannot get better, silently for what may.
    pub(crate) fn refuse(&mut self, error: Option<&str>) {
        debug_assert!(matches!(self.state, State::ExpectVerdict(_)), "nobody asked");
        if let Some(reason) = error {
            null::put_error(&mut self.handshake, reason);
        }
        let _told = self.end(Failure::Refused {
            why: "the socket did not take this peer",
        });
    }

    /// Bytes of greeting, READY, ERROR or PONG that are to go out before the next batch, in this order; `None` when
    /// there are none.
    pub(crate) fn poll_transmit(&mut self) -> Option<(Said, Bytes)> {
        if !self.handshake.is_empty() {
            return Some((Said::Handshake, Bytes::from(std::mem::take(&mut self.handshake))));
        }
        if let Some(answer) = self.answer.take() {
            return Some((Said::Answer, answer.to_bytes()));
        }
        self.pong.take().map(|pong| (Said::Pong, pong.to_bytes()))
    }

    /// What was heard of the peer's heart since this was asked last.
    pub(crate) fn take_heard(&mut self) -> Heard {
        std::mem::take(&mut self.heard)
    }

    /// Whether the peer is ready without a word, and our socket has still to be told: there is a step to take that needs no
    /// input.
    pub(crate) fn is_ready_unasked(&self) -> bool {
        match &self.state {
            State::Unknown => true,
            State::ExpectPeer(handshake) => handshake.expects_nothing(),
            _ => false,
        }
    }

    /// How far it has come, or had when it ended.
    pub(crate) fn stage(&self) -> Stage {
        match &self.state {
            State::ExpectPeer(handshake) => handshake.stage(),
            State::Unknown | State::ExpectVerdict(_) => Stage::Ready,
            State::Traffic(_) | State::Raw | State::Datagrams => Stage::Traffic,
            State::Ended { stage, .. } => *stage,
        }
    }

    /// Whether nothing that came is held here.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        match &self.state {
            State::ExpectPeer(handshake) => handshake.is_idle(),
            State::Unknown | State::ExpectVerdict(_) | State::Raw | State::Datagrams | State::Ended { .. } => true,
            State::Traffic(inbox) => {
                inbox.in_the_middle_of().is_none() && self.opener.as_ref().is_none_or(|opener| opener.is_empty())
            }
        }
    }

    /// How many commands came in traffic, whatever they say.
    pub(crate) fn commands(&self) -> u64 {
        self.commands
    }

    /// Commands in traffic that were ignored, since they mean nothing to us.
    pub(crate) fn unknown_commands(&self) -> u64 {
        self.unknown_commands
    }

    /// Bytes that are held for what is not whole.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn held(&self) -> usize {
        match &self.state {
            State::Traffic(inbox) => inbox.held() + self.opener.as_ref().map_or(0, |opener| opener.held()),
            State::ExpectPeer(handshake) => handshake.held(),
            State::Unknown | State::ExpectVerdict(_) | State::Raw | State::Datagrams | State::Ended { .. } => 0,
        }
    }

    fn handle_handshake(&mut self, input: &mut Bytes) -> Result<Step, Failure> {
        loop {
            let stage = self.stage();
            let State::ExpectPeer(handshake) = std::mem::replace(&mut self.state, State::ExpectVerdict(None)) else {
                return Ok(Step::Paused);
            };
            match handshake.step(input, &self.local, self.side, &mut self.handshake) {
                Ok(Next::Await(handshake)) => {
                    let may_go_on = !handshake.awaits_admission();
                    self.state = State::ExpectPeer(handshake);
                    return Ok(if may_go_on { Step::More } else { Step::Paused });
                }
                Ok(Next::Step(handshake)) => self.state = State::ExpectPeer(handshake),
                Ok(Next::Claim(credentials, handshake)) => {
                    self.state = State::ExpectPeer(handshake);
                    return Ok(Step::Claim(credentials));
                }
                Ok(Next::Ready(facts, accord)) => {
                    self.state = State::ExpectVerdict(Some(accord));
                    let user = self.user.take().map(|user| *user);
                    return Ok(Step::Ready(Facts { user, ..facts }));
                }
                Err(failure) => return Err(self.end_at(stage, failure)),
            }
        }
    }

    /// Opens what is sealed; then it is traffic as any other. Who calls gives back first what it was left with.
    fn handle_sealed(
        &mut self,
        input: &mut Bytes,
        credit: Credit,
        buffers: &mut Buffers,
        run: &mut Run,
    ) -> Result<Step, Failure> {
        if !self.is_opened
            && let Some(opener) = &mut self.opener
        {
            *input = opener.open(std::mem::take(input), buffers);
        }
        let step = self.handle_traffic(input, credit, buffers, run)?;
        self.is_opened = !input.is_empty();
        if step == Step::More
            && let Some(failure) = self.opener.as_mut().and_then(|opener| opener.take_failure())
        {
            return Err(self.end(failure));
        }
        Ok(step)
    }

    fn handle_traffic(
        &mut self,
        input: &mut Bytes,
        credit: Credit,
        buffers: &mut Buffers,
        run: &mut Run,
    ) -> Result<Step, Failure> {
        let mut left = credit;
        let enough = self.commands.saturating_add(AT_ONCE);
        loop {
            if self.commands >= enough {
                return Ok(Step::Enough);
            }
            let State::Traffic(inbox) = &mut self.state else {
                return Ok(Step::Paused);
            };
            let handled = match inbox.take(input, &mut left, buffers, run) {
                Ok(Taken::All) => return Ok(Step::More),
                Ok(Taken::NoCredit) => return Ok(Step::Paused),
                Ok(Taken::Command(body)) => self.handle_command(&body),
                Err(failure) => Err(failure),
            };
            if let Some(notice) = handled.map_err(|failure| self.end(failure))? {
                return Ok(Step::Notice(notice));
            }
        }
    }

    fn handle_command(&mut self, body: &[u8]) -> Result<Option<Notice>, Failure> {
        let command = Command::parse(body)?;
        self.commands = self.commands.saturating_add(1);
        match command.name {
            PING => {
                let pong = Pong::to(command.data)?;
                self.heard.time_to_live = time_to_live(command.data);
                if pong.is_answer() {
                    self.answer = Some(Box::new(pong));
                } else {
                    self.pong = Some(Box::new(pong));
                }
            }
            PONG => {
                self.heard.answered = answered(command.data).or(self.heard.answered);
                return Ok(answer(&command));
            }
            READY => return Err(command.unexpected("messages")),
            ERROR => return Err(command.refusal()),
            _ => {
                let notice = notice(&command, self.local.socket_type);
                if notice.is_none() {
                    self.unknown_commands = self.unknown_commands.saturating_add(1);
                }
                return Ok(notice);
            }
        }
        Ok(None)
    }

    /// It is over, where it is. Gives why.
    fn end(&mut self, failure: Failure) -> Failure {
        self.end_at(self.stage(), failure)
    }

    fn end_at(&mut self, stage: Stage, failure: Failure) -> Failure {
        self.state = State::Ended {
            stage,
            failure: failure.clone(),
        };
        failure
    }
}

/// RFC 27's status for who may not come in, which libzmq's servers say and its clients know.
const DENIED: &str = "400";
/// The same, where that could not be found out.
const FAILED: &str = "500";
