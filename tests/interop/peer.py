"""The libzmq side of these tests: does what it is told by lines on stdin, one answer a line on stdout.

`ok ...` or `err why`. Every wait ends after LIMIT milliseconds. Bodies are windows of one pattern that both sides
compute, told as `seed frames size`. Other frames are told in hex, with commas between them: `-` is an empty frame, `*`
any frame, `.` no frames at all.
"""

import errno
import sys
import threading
import time

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

LIMIT = 10_000
PATTERN = bytes((i * 7 + (i >> 8) * 13 + (i >> 16) * 29) & 255 for i in range((1 << 20) + (1 << 16)))

context = zmq.Context()
sockets = {}
monitors = {}
proxies = {}


# ---- what is told ----


def frames_of(seed, count, size):
    starts = ((seed * 131 + frame * 31) & 0xFFFF for frame in range(count))
    return [PATTERN[start : start + size] for start in starts]


def body(words):
    seed, count, size = (int(word) for word in words)
    return frames_of(seed, count, size)


def frames(word):
    """`None` stands for any frame."""
    if word == ".":
        return []
    return [None if part == "*" else b"" if part == "-" else bytes.fromhex(part) for part in word.split(",")]


def told(parts):
    return ",".join(part.hex() or "-" for part in parts)


def expect(got, wanted):
    if len(got) == len(wanted) and all(one in (None, other) for one, other in zip(wanted, got)):
        return ""
    shape = [None if frame is None else len(frame) for frame in wanted][:8]
    raise ValueError(f"got frames of {[len(frame) for frame in got][:8]} bytes, wanted {shape}; first bytes {got[0][:16]!r}")


# ---- a socket's life ----


def open_socket(name, kind, *options):
    socket = context.socket(getattr(zmq, kind))
    socket.linger = LIMIT
    socket.sndtimeo = LIMIT
    socket.rcvtimeo = LIMIT
    sockets[name] = socket
    return set_options(name, *options)


def set_options(name, *options):
    """`KEY=value`: a number, or text."""
    for option in options:
        key, value = option.split("=", 1)
        number = value.lstrip("-").isdigit()
        sockets[name].setsockopt(getattr(zmq, key), int(value) if number else value.encode())
    return ""


def call(name, word):
    [sockets[name].routing_id] = frames(word)
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
    if name in monitors:
        # While there is one to tell: else libzmq's I/O thread waits for one, and all sockets with it.
        sockets[name].disable_monitor()
        monitors.pop(name).close()
    sockets.pop(name).close()
    return ""


def watch(name):
    """From now on, what happens to it can be waited for."""
    monitors[name] = sockets[name].get_monitor_socket(addr=f"inproc://watch-{name}")
    monitors[name].rcvtimeo = LIMIT
    return ""


def wait(name, event):
    while recv_monitor_message(monitors[name])["event"] != getattr(zmq, f"EVENT_{event}"):
        pass
    return ""


# ---- whom their servers admit ----


class Reachable(zmq.auth.Authenticator):
    """Its socket is bound where other processes reach it, too, and is the same."""

    def start(self):
        super().start()
        self.places = {}
        for transport, place in (("tcp", "tcp://127.0.0.1:*"), ("ipc", "ipc://*")):
            self.zap_socket.bind(place)
            self.places[transport] = self.zap_socket.getsockopt_string(zmq.LAST_ENDPOINT)


class Handler(ThreadAuthenticator, Reachable):
    """A ZAP handler of pyzmq's."""


def admit(username, password, *keys):
    """One name, and these keys; `*` is any."""
    if "auth" not in globals():
        globals()["auth"] = Handler(context)
        auth.start()
        auth.certs["*"] = {}
    auth.configure_plain(domain="*", passwords={username: password})
    if keys == ("*",):
        auth.configure_curve(domain="*", location=zmq.auth.CURVE_ALLOW_ANY)
    else:
        auth.configure_curve_callback(domain="*", credentials_provider=Keys(keys))
    return ""


class Keys:
    def __init__(self, keys):
        self.keys = [key.encode() for key in keys]

    def callback(self, domain, key):
        return key in self.keys


def shut_out(*addresses):
    """Nobody from there is admitted from now on, whatever is shown; of none: all may show it again."""
    auth._denied.clear()
    auth.deny(*addresses)
    return ""


def handler(transport):
    """Where the one that admits can be asked, once it was told whom."""
    return auth.places[transport]


# ---- bodies, behind the frames that stand in front of them ----


def send(name, front, *words):
    sockets[name].send_multipart(frames(front) + body(words))
    return ""


def recv(name, front, *words):
    return expect(sockets[name].recv_multipart(), frames(front) + body(words))


def echo(name, front, *words):
    """What came goes back, with all that it came with."""
    parts = sockets[name].recv_multipart()
    expect(parts, frames(front) + body(words))
    sockets[name].send_multipart(parts)
    return ""


def ask(name, front, *words):
    """Sends, and waits for the same."""
    parts = frames(front) + body(words)
    sockets[name].send_multipart(parts)
    return expect(sockets[name].recv_multipart(), parts)


def fill(name, front, *words):
    """Sends the same until it would have to wait; how many went."""
    count = 0
    while sockets[name].poll(200, zmq.POLLOUT):
        try:
            sockets[name].send_multipart(frames(front) + body(words), zmq.DONTWAIT)
        except zmq.Again:
            break
        count += 1
    return count


def read_late(name, seconds, count, size):
    """Starts to read late: the sleep is the situation, not a wait for a state."""
    time.sleep(float(seconds))
    for seed in range(int(count)):
        expect(sockets[name].recv_multipart(), frames_of(seed, 1, int(size)))
    return ""


# ---- whole messages ----


def say(name, word):
    sockets[name].send_multipart(frames(word))
    return ""


def hear(name):
    return told(sockets[name].recv_multipart())


def hear_now(name):
    """`none` if nothing is here."""
    try:
        return told(sockets[name].recv_multipart(zmq.DONTWAIT))
    except zmq.Again:
        return "none"


def errno_of_say(name, word):
    """The name of the error that sending without waiting ends with, `none` if it does not."""
    try:
        sockets[name].send_multipart(frames(word), zmq.DONTWAIT)
        return "none"
    except zmq.ZMQError as error:
        return errno.errorcode.get(error.errno, str(error.errno))


def property(name, key):
    """What the sender of the next message says of itself under this key."""
    return sockets[name].recv(copy=False).get(key)


def look(name):
    """Lets the socket take what its I/O thread has for it."""
    return sockets[name].getsockopt(zmq.EVENTS)


# ---- crowds ----


def subscribe_all(name, count):
    for number in range(int(count)):
        sockets[name].setsockopt(zmq.SUBSCRIBE, b"%06d" % number)
    return ""


def unsubscribe_all(name, count):
    for number in range(int(count)):
        sockets[name].setsockopt(zmq.UNSUBSCRIBE, b"%06d" % number)
    return ""


def hear_all(name, first, count):
    """Messages of this first byte and each number once, in any order."""
    got = sorted(sockets[name].recv() for _ in range(int(count)))
    if got != [bytes([int(first)]) + b"%06d" % number for number in range(int(count))]:
        raise ValueError(f"got {got[:3]} to {got[-3:]}")
    return ""


def count_up(name, start, end, size):
    """Numbers in four bytes, each with a frame of this size."""
    for number in range(int(start), int(end)):
        sockets[name].send_multipart([number.to_bytes(4, "big"), PATTERN[: int(size)]])
    return ""


def follow(name, end, size):
    """What `count_up` sends, up to the last; some may be missing, none may be cut or there twice."""
    seen = set()
    while int(end) - 1 not in seen:
        number, rest = sockets[name].recv_multipart()
        number = int.from_bytes(number, "big")
        if number in seen or rest != PATTERN[: int(size)]:
            raise ValueError(f"{number} again, or with {len(rest)} bytes")
        seen.add(number)
    return ""


# ---- a proxy ----


def proxy(name, front, back):
    """Between two sockets, until `end_proxy`, which closes them."""
    ends = [sockets.pop(front), sockets.pop(back)]
    control = context.socket(zmq.PAIR)
    control.bind(f"inproc://{name}")
    steer = context.socket(zmq.PAIR)
    steer.connect(f"inproc://{name}")

    def run():
        zmq.proxy_steerable(*ends, None, control)
        for socket in (*ends, control):
            socket.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    proxies[name] = (thread, steer)
    return ""


def end_proxy(name):
    thread, steer = proxies.pop(name)
    steer.send(b"TERMINATE")
    thread.join(LIMIT / 1000)
    steer.close()
    return ""


ORDERS = (
    (admit, shut_out, handler, call, bind, connect, close, watch, send, recv, echo, ask, fill, read_late, say, hear, hear_now, errno_of_say, look)
    + (property, subscribe_all, unsubscribe_all, hear_all, count_up, follow, proxy, end_proxy)
)
COMMANDS = {order.__name__: order for order in ORDERS} | {"open": open_socket, "set": set_options, "await": wait}


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
