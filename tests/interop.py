"""The libzmq side of tests/interop.rs: does what it is told by lines on stdin, one answer a line on stdout.

`ok ...` or `err why`. Every wait ends after LIMIT milliseconds. Payloads are windows of one pattern that both sides compute.
"""

import errno
import sys
import time

import zmq

LIMIT = 10_000
PATTERN = bytes((i * 7 + (i >> 8) * 13 + (i >> 16) * 29) & 255 for i in range((1 << 20) + (1 << 16)))
HWM = {"SNDHWM": zmq.SNDHWM, "RCVHWM": zmq.RCVHWM}
OPTIONS = {**HWM, "HEARTBEAT_IVL": zmq.HEARTBEAT_IVL, "HEARTBEAT_TIMEOUT": zmq.HEARTBEAT_TIMEOUT}

context = zmq.Context()
sockets = {}


def frames_of(seed, count, size):
    starts = ((seed * 131 + frame * 31) & 0xFFFF for frame in range(count))
    return [PATTERN[start : start + size] for start in starts]


def expect(got, wanted):
    if got == wanted:
        return ""
    shape = [len(frame) for frame in got]
    raise ValueError(f"got frames of {shape[:8]} bytes, wanted {[len(frame) for frame in wanted]}; first bytes {got[0][:16]!r}")


def wanted(words):
    seed, count, size = (int(word) for word in words)
    return frames_of(seed, count, size)


def open_socket(name, kind, *options):
    socket = context.socket(getattr(zmq, kind))
    socket.linger = LIMIT
    socket.sndtimeo = LIMIT
    socket.rcvtimeo = LIMIT
    for option in options:
        key, value = option.split("=")
        socket.setsockopt(OPTIONS[key], int(value))
    sockets[name] = socket
    return ""


def bind(name, endpoint):
    deadline = time.monotonic() + LIMIT / 1000
    while True:
        try:
            sockets[name].bind(endpoint)
            return sockets[name].getsockopt_string(zmq.LAST_ENDPOINT)
        except zmq.ZMQError as error:
            # libzmq frees a port some time after close: the only state here that can only be asked for again.
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def connect(name, endpoint):
    sockets[name].connect(endpoint)
    return ""


def close(name):
    sockets.pop(name).close()
    return ""


def send(name, *words):
    sockets[name].send_multipart(wanted(words))
    return ""


def recv(name, *words):
    return expect(sockets[name].recv_multipart(), wanted(words))


def echo(name, *words):
    """REP, PAIR: what came goes back. ROUTER: with the envelope that it came with."""
    parts = sockets[name].recv_multipart()
    body = parts
    if sockets[name].type == zmq.ROUTER:
        body = parts[parts.index(b"", 1) + 1 :]
    expect(body, wanted(words))
    sockets[name].send_multipart(parts)
    return ""


def ask(name, *words):
    """REQ: sends and waits for the same. DEALER: with the empty delimiter that a REP wants."""
    delimiter = [b""] if sockets[name].type == zmq.DEALER else []
    frames = delimiter + wanted(words)
    sockets[name].send_multipart(frames)
    return expect(sockets[name].recv_multipart(), frames)


def read_late(name, seconds, count, size):
    """Starts to read late: the sleep is the situation, not a wait for a state."""
    time.sleep(float(seconds))
    for seed in range(int(count)):
        expect(sockets[name].recv_multipart(), frames_of(seed, 1, int(size)))
    return ""


COMMANDS = {f.__name__: f for f in (bind, connect, close, send, recv, echo, ask, read_late)} | {"open": open_socket}


def main():
    print(f"ok libzmq {zmq.zmq_version()} pyzmq {zmq.__version__}", flush=True)
    for line in sys.stdin:
        name, *words = line.split()
        try:
            answer = f"ok {COMMANDS[name](*words)}"
        except Exception as error:  # told to the test, which fails
            answer = f"err {line.strip()}: {type(error).__name__}: {error}"
        print(answer.replace("\n", " "), flush=True)
    context.destroy(linger=0)


main()
