//! What sockets are set to, as the options say.
//!
//! What only some systems have is an error where they have not: a socket that does less than was asked for would be
//! found out much later.

use crate::options::{Keepalive, TransportOptions};
use socket2::{Socket, TcpKeepalive};
use std::io;
use std::time::Duration;

/// Before anything else: the announced window depends on it, and accepted sockets inherit it. For all transports.
pub(super) fn set_buffers(socket: &Socket, options: &TransportOptions) -> io::Result<()> {
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes.min(MAX_BUFFER))?;
    }
    if let Some(bytes) = options.recv_buffer {
        socket.set_recv_buffer_size(bytes.min(MAX_BUFFER))?;
    }
    Ok(())
}

/// For all transports.
pub(super) fn backlog(options: &TransportOptions) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

/// For TCP sockets that listen too: the first packets of a connection are the listener's.
pub(super) fn set_network(socket: &Socket, is_v6: bool, options: &TransportOptions) -> io::Result<()> {
    if let Some(tos) = options.tos {
        let v4 = socket.set_tos_v4(tos.into());
        if is_v6 {
            // The other one is for IPv4 peers of a socket that takes both.
            socket.set_tclass_v6(tos.into())?;
        } else {
            v4?;
        }
    }
    // Behind the type of service, from which Linux makes a priority of its own.
    if let Some(priority) = options.priority {
        system::set_priority(socket, priority)?;
    }
    if let Some(time) = options.busy_poll {
        let micros = u32::try_from(time.as_micros()).unwrap_or(MAX_BUSY_POLL);
        system::set_busy_poll(socket, micros.min(MAX_BUSY_POLL))?;
    }
    Ok(())
}

/// Before a TCP socket is bound or connected; accepted ones inherit it.
pub(super) fn set_device(socket: &Socket, options: &TransportOptions) -> io::Result<()> {
    match &options.device {
        Some(device) => system::bind_device(socket, device)
            .map_err(|error| io::Error::new(error.kind(), format!("bind_to_device {device:?}: {error}"))),
        None => Ok(()),
    }
}

/// For TCP sockets that carry a stream, and listeners whose streams inherit it.
///
/// Small messages must not wait for an acknowledgement, so Nagle's algorithm is off everywhere.
pub(super) fn set_stream(socket: &Socket, options: &TransportOptions) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if let Some(keepalive) = options.keepalive {
        socket.set_tcp_keepalive(&parameters(keepalive))?;
    }
    if let Some(limit) = options.user_timeout {
        // 0 would be the system's choice.
        let limit = limit.max(Duration::from_millis(1)).min(MAX_USER_TIMEOUT);
        system::set_user_timeout(socket, limit)?;
    }
    Ok(())
}

/// In the range that Linux takes: whole seconds, at least one.
fn parameters(keepalive: Keepalive) -> TcpKeepalive {
    let seconds = |time: Duration| {
        let up = u64::from(time.subsec_nanos() > 0);
        Duration::from_secs(time.as_secs().saturating_add(up).clamp(1, MAX_KEEPALIVE_SECONDS))
    };
    let parameters = TcpKeepalive::new().with_time(seconds(keepalive.idle));
    #[cfg(any(
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "ios",
        target_os = "linux",
        target_os = "macos",
        target_os = "netbsd",
    ))]
    let parameters = parameters
        .with_interval(seconds(keepalive.interval))
        .with_retries(keepalive.probes.clamp(1, MAX_KEEPALIVE_PROBES));
    parameters
}

#[cfg(target_os = "linux")]
mod system {
    use socket2::Socket;
    use std::io;
    use std::time::Duration;

    pub(super) fn set_priority(socket: &Socket, priority: u32) -> io::Result<()> {
        socket.set_priority(priority)
    }

    pub(super) fn set_busy_poll(socket: &Socket, micros: u32) -> io::Result<()> {
        socket.set_busy_poll(micros)
    }

    pub(super) fn bind_device(socket: &Socket, device: &str) -> io::Result<()> {
        socket.bind_device(Some(device.as_bytes()))
    }

    pub(super) fn set_user_timeout(socket: &Socket, limit: Duration) -> io::Result<()> {
        socket.set_tcp_user_timeout(Some(limit))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use socket2::Socket;
    use std::io;
    use std::time::Duration;

    pub(super) fn set_priority(_: &Socket, _: u32) -> io::Result<()> {
        missing("priority")
    }

    pub(super) fn set_busy_poll(_: &Socket, _: u32) -> io::Result<()> {
        missing("busy_poll")
    }

    pub(super) fn bind_device(_: &Socket, _: &str) -> io::Result<()> {
        missing("bind_to_device")
    }

    pub(super) fn set_user_timeout(_: &Socket, _: Duration) -> io::Result<()> {
        missing("tcp_user_timeout")
    }

    fn missing(option: &str) -> io::Result<()> {
        let why = format!("{option} exists on Linux only");
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }
}

/// What the system's interface can carry; the system itself takes less.
const MAX_BUFFER: usize = i32::MAX as usize;

/// Linux' limits.
const MAX_KEEPALIVE_SECONDS: u64 = 32_767;
const MAX_KEEPALIVE_PROBES: u32 = 127;
const MAX_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);
const MAX_BUSY_POLL: u32 = i32::MAX as u32;
