//! `Net` over a fabric: what the engine sees of the simulated network.

use super::fabric::{EndId, Fabric};
use crate::options::TransportOptions;
use crate::sync::Mutex;
use crate::transport::{Address, Net, Reached, Resolved, Stream};
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// One node's view of the fabric.
pub(crate) struct SimNet {
    pub(crate) node: usize,
    pub(crate) fabric: Arc<Mutex<Fabric>>,
}

/// One end of a connection.
pub(crate) struct SimStream {
    fabric: Arc<Mutex<Fabric>>,
    end: EndId,
}

/// A place that connections come to.
pub(crate) struct SimListener {
    pub(crate) address: SocketAddr,
}

impl Net for SimNet {
    type Stream = SimStream;
    type Listener = SimListener;

    fn now(&self) -> Instant {
        self.fabric.lock().now
    }

    fn chance(&mut self) -> u64 {
        self.fabric.lock().chance.next()
    }

    fn secret(&mut self, into: &mut [u8]) -> io::Result<()> {
        let mut fabric = self.fabric.lock();
        into.iter_mut().for_each(|byte| *byte = fabric.chance.next() as u8);
        Ok(())
    }

    fn run_aside(&mut self, job: Box<dyn FnOnce() + Send>) -> bool {
        job();
        true
    }

    fn resolve(&mut self, host: &str, _port: u16, answer: Box<dyn FnOnce(Resolved) + Send>) {
        let found = self.fabric.lock().names.get(host).cloned();
        answer(found.ok_or_else(|| "no such name".into()));
    }

    fn connect(&mut self, address: &Address, _: &TransportOptions, token: usize) -> io::Result<SimStream> {
        let &Address::Tcp { to, .. } = address else {
            return Err(ErrorKind::Unsupported.into());
        };
        let end = self.fabric.lock().connect(self.node, to, token);
        Ok(self.stream(end))
    }

    fn listen(&mut self, listener: &mut SimListener, token: usize) -> io::Result<()> {
        self.fabric.lock().listen(self.node, listener.address, token);
        Ok(())
    }

    fn unlisten(&mut self, listener: &mut SimListener) {
        self.fabric.lock().unlisten(listener.address);
    }

    fn accept(
        &mut self,
        listener: &SimListener,
        _: &TransportOptions,
        token: usize,
    ) -> io::Result<(SimStream, String)> {
        let end = self.fabric.lock().accept(listener.address, token)?;
        Ok((self.stream(end), format!("sim:{end}")))
    }
}

impl SimNet {
    fn stream(&self, end: EndId) -> SimStream {
        SimStream {
            fabric: Arc::clone(&self.fabric),
            end,
        }
    }
}

impl Stream for SimStream {
    fn await_room(&self) -> io::Result<()> {
        self.fabric.lock().tell_of_room(self.end, true)
    }

    fn need_no_room(&self) -> io::Result<()> {
        self.fabric.lock().tell_of_room(self.end, false)
    }

    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.fabric.lock().read(self.end, into)
    }

    fn write_vectored(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        self.fabric.lock().write(self.end, from)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.fabric.lock().shutdown_write(self.end)
    }

    fn connected(&self) -> io::Result<Option<Reached>> {
        let is_open = self.fabric.lock().connected(self.end)?;
        Ok(is_open.then(|| Reached {
            remote: format!("sim:{}", self.end),
            itself: false,
        }))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.fabric.lock().drop_end(self.end);
    }
}
