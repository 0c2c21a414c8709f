//! What sockets ask of their context: to be bound and connected, unbound and closed.

use super::{Closing, Core};
use crate::endpoint::{Endpoint, Kind};
use crate::engine::inproc::{Lingering, NotBound};
use crate::engine::notes::{Answered, Note, answer};
use crate::error::{BindError, ConnectError, EndpointError};
use crate::explain::Explanation;
use crate::failure::Failure;
use crate::hub::{CannotWait, Closed, Drive, Effects, Hub, Station, block_on};
use crate::options::{InsecureBind, Options};
use crate::routing::{Pattern, PeerId, PeerKind, Peers};
use crate::socket_type::SocketType;
use crate::sync::Ordering;
use crate::transport::OpenListener;
use crate::transport::real::{RealListener, RealNet, adopt, bind};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::warn;

impl Core {
    /// A new socket's hub.
    pub(crate) fn open<P: Pattern>(self: &Arc<Self>, pattern: P, options: Options) -> Arc<Hub<P>> {
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        let drive: Arc<dyn Drive> = self.seat.clone();
        let hub = Arc::new(Hub::new(pattern, options, key, drive, self.pool.clone()));
        let mut live = self.live.lock();
        live.retain(|hub| hub.strong_count() > 0);
        let closing: Arc<dyn Closing> = hub.clone();
        live.push(Arc::downgrade(&closing));
        drop(live);
        if self.is_shut_down.load(Ordering::SeqCst) {
            let station: Arc<dyn Station> = hub.clone();
            self.close(&station, Duration::ZERO);
        }
        hub
    }

    /// Begins to close a socket, once.
    pub(crate) fn close(&self, station: &Arc<dyn Station>, linger: Duration) {
        if self.seat.is_forked() {
            return;
        }
        let mut effects = Effects::default();
        let is_first = station.begin_close(&mut effects);
        effects.run();
        if !is_first {
            return;
        }
        let deadline = self.seat.now().checked_add(linger);
        let links = self.names.close(station.key());
        let is_noted = self.seat.note(Note::Close {
            station: Arc::clone(station),
            links: links.clone(),
            deadline,
        });
        if !is_noted {
            // The loop is gone, and all that it had of this socket.
            sever(links);
            let mut effects = Effects::default();
            station.engine_done(&mut effects);
            effects.run();
        }
    }

    pub(crate) fn is_forked(&self) -> bool {
        self.seat.is_forked()
    }

    pub(crate) fn bind<P: Pattern>(&self, hub: &Arc<Hub<P>>, endpoint: Endpoint) -> Result<Endpoint, BindError> {
        endpoint.check_bind()?;
        endpoint.check_type(P::TYPE, false)?;
        endpoint.check_secure(hub.options().security.asks_nothing())?;
        if self.is_forked() {
            return Err(BindError::Forked);
        }
        if !hub.is_open() {
            return Err(BindError::Closed);
        }
        let station: Arc<dyn Station> = hub.clone();
        if let Kind::Inproc(name) = endpoint.kind() {
            return match self.names.bind(name, &station, &endpoint) {
                Ok(()) => Ok(endpoint.clone()),
                Err(NotBound::Closed) => Err(BindError::Closed),
                Err(NotBound::InUse) => Err(BindError::Io {
                    endpoint,
                    error: io::ErrorKind::AddrInUse.into(),
                }),
            };
        }
        match bind(&endpoint, &hub.options().transport) {
            Ok((listener, bound)) => {
                check_secure(P::TYPE, hub.options(), &bound)?;
                self.listen(station, listener, bound)
            }
            Err(error) => Err(BindError::Io { endpoint, error }),
        }
    }

    /// Binds a listener that somebody else has opened.
    pub(crate) fn bind_listener<P: Pattern>(
        &self,
        hub: &Arc<Hub<P>>,
        listener: OpenListener,
    ) -> Result<Endpoint, BindError> {
        if self.is_forked() {
            return Err(BindError::Forked);
        }
        if !hub.is_open() {
            return Err(BindError::Closed);
        }
        let (listener, endpoint) = adopt(listener).map_err(BindError::Listener)?;
        check_secure(P::TYPE, hub.options(), &endpoint)?;
        self.listen(hub.clone(), listener, endpoint)
    }

    fn listen(
        &self,
        station: Arc<dyn Station>,
        listener: RealListener,
        endpoint: Endpoint,
    ) -> Result<Endpoint, BindError> {
        let note = Note::Listen {
            station,
            listener,
            endpoint: endpoint.clone(),
        };
        if self.seat.note(note) {
            Ok(endpoint)
        } else {
            Err(BindError::Closed)
        }
    }

    pub(crate) fn connect<P: Pattern>(&self, hub: &Arc<Hub<P>>, endpoint: Endpoint) -> Result<(), ConnectError> {
        self.connect_with(hub, endpoint, |_, peers, endpoint| {
            Ok(peers.attach(PeerKind::Dialed, endpoint))
        })?;
        Ok(())
    }

    /// Dials an endpoint for the peer that this step attaches.
    pub(crate) fn connect_with<P: Pattern>(
        &self,
        hub: &Arc<Hub<P>>,
        endpoint: Endpoint,
        attach: impl FnOnce(&mut P, &mut Peers, String) -> Result<PeerId, ConnectError>,
    ) -> Result<PeerId, ConnectError> {
        endpoint.check_connect()?;
        endpoint.check_type(P::TYPE, true)?;
        endpoint.check_secure(hub.options().security.asks_nothing())?;
        if self.is_forked() {
            return Err(ConnectError::Forked);
        }
        let peer = hub.attach_with(|pattern, peers| attach(pattern, peers, endpoint.to_string()))?;
        let station: Arc<dyn Station> = hub.clone();
        match endpoint.kind() {
            Kind::Inproc(name) => self.names.connect(name, &station, peer, &endpoint),
            _ => {
                let note = Note::Dial {
                    station,
                    peer,
                    endpoint,
                };
                if !self.seat.note(note) {
                    let mut effects = Effects::default();
                    hub.detach(peer, false, &mut effects);
                    effects.run();
                    return Err(ConnectError::Closed);
                }
            }
        }
        Ok(peer)
    }

    pub(crate) fn unbind<P: Pattern>(
        &self,
        hub: &Arc<Hub<P>>,
        endpoint: Endpoint,
        with_connections: bool,
    ) -> Result<(), EndpointError> {
        if !hub.is_open() {
            return Err(EndpointError::Closed);
        }
        let key = hub.key();
        if let Kind::Inproc(name) = endpoint.kind() {
            // Also libzmq keeps those over inproc.
            let parted = self.names.unbind(name, key, with_connections);
            return known(self.linger(hub, parted), endpoint);
        }
        let with_connections = with_connections || hub.options().unbind_ends_connections;
        let (giving, taking) = answer();
        self.ask(
            Note::Unbind {
                key,
                endpoint: endpoint.clone(),
                with_connections,
                answer: giving,
            },
            taking,
            endpoint,
        )
    }

    pub(crate) fn disconnect<P: Pattern>(&self, hub: &Arc<Hub<P>>, endpoint: Endpoint) -> Result<(), EndpointError> {
        if !hub.is_open() {
            return Err(EndpointError::Closed);
        }
        let key = hub.key();
        if let Kind::Inproc(name) = endpoint.kind() {
            let parted = self.names.disconnect(name, key);
            return known(self.linger(hub, parted), endpoint);
        }
        let (giving, taking) = answer();
        self.ask(
            Note::Disconnect {
                key,
                endpoint: endpoint.clone(),
                answer: giving,
            },
            taking,
            endpoint,
        )
    }

    /// Lets the loop call the socket at this time.
    pub(crate) fn alarm<P: Pattern>(&self, hub: &Arc<Hub<P>>, at: Instant) {
        let station: Arc<dyn Station> = hub.clone();
        // Without a loop the socket is closed, and nobody waits any more.
        let _is_live = self.seat.note(Note::Alarm { station, at });
    }

    /// Lets the loop sever what lingers, when the socket's linger time is over. Gives whether there was anything to
    /// end.
    fn linger<P: Pattern>(&self, hub: &Arc<Hub<P>>, parted: Option<Lingering>) -> bool {
        let Some(links) = parted else { return false };
        let linger = hub.linger();
        let deadline = self.seat.now().checked_add(linger);
        if let Some(deadline) = deadline
            && !links.is_empty()
        {
            let note = Note::Linger {
                links: links.clone(),
                deadline,
            };
            if linger.is_zero() || !self.seat.note(note) {
                sever(links);
            }
        }
        true
    }

    /// What a socket is about: what the loop and the names know of its endpoints, and what the hub knows of its peers.
    pub(crate) fn explain<P: Pattern>(&self, hub: &Arc<Hub<P>>) -> Explanation {
        let key = hub.key();
        let (giving, taking) = answer();
        let asked = self.inquire(Note::Explain { key, answer: giving }, taking);
        let endpoints = asked.ok().map(|mut endpoints| {
            endpoints.append(&mut self.names.explain(key));
            endpoints
        });
        hub.explain(endpoints)
    }

    /// Asks the loop about an endpoint, and waits for its answer.
    fn ask(&self, note: Note<RealNet>, taking: Answered<bool>, endpoint: Endpoint) -> Result<(), EndpointError> {
        known(self.inquire(note, taking)?, endpoint)
    }

    /// Asks the loop, and waits for its answer, which comes with its next turn.
    pub(super) fn inquire<T>(&self, note: Note<RealNet>, taking: Answered<T>) -> Result<T, EndpointError> {
        match self.seat.may_wait() {
            Err(CannotWait::OnDriver) => return Err(EndpointError::WouldDeadlock),
            Err(CannotWait::Forked) => return Err(EndpointError::Forked),
            Ok(()) => {}
        }
        if !self.seat.note(note) {
            return Err(EndpointError::Closed);
        }
        match block_on(&*self.seat, taking, None) {
            Ok(Some(Some(answer))) => Ok(answer),
            _ => Err(EndpointError::Closed),
        }
    }
}

impl From<Closed> for ConnectError {
    fn from(_: Closed) -> Self {
        ConnectError::Closed
    }
}

/// What is bound where others come by is sealed, or the options say that it need not be. A STREAM has no mechanism.
fn check_secure(socket_type: SocketType, options: &Options, endpoint: &Endpoint) -> Result<(), BindError> {
    let Kind::Tcp(at) = endpoint.kind() else { return Ok(()) };
    let is_loopback = at.address().is_some_and(|at| at.ip().to_canonical().is_loopback());
    let role = &options.security.role;
    if is_loopback || role.is_sealed() || socket_type == SocketType::Stream {
        return Ok(());
    }
    let mechanism = role.mechanism();
    match options.insecure_bind {
        InsecureBind::Allow => Ok(()),
        InsecureBind::Warn => {
            warn!(%endpoint, mechanism, "bound for everybody who gets there, and nothing is sealed");
            Ok(())
        }
        InsecureBind::Refuse => Err(BindError::Insecure {
            endpoint: endpoint.clone(),
            mechanism,
        }),
    }
}

/// Ends links that only their sockets know.
fn sever(links: Lingering) {
    for link in links {
        link.sever(Failure::ClosedHere);
    }
}

/// What a call says of an endpoint that the socket had, or had not.
fn known(was_known: bool, endpoint: Endpoint) -> Result<(), EndpointError> {
    if was_known {
        Ok(())
    } else {
        Err(EndpointError::Unknown(endpoint))
    }
}
