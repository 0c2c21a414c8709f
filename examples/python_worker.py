#!/usr/bin/env python3
"""A worker in pyzmq, by docs/confirmed.md: does one task after the other, and says what became of each.

Usage: python_worker.py tcp://127.0.0.1:7000 [prefetch]

Where tasks take long, a thread of their own should do them, and this one go on: it beats, and may say EXTEND.
"""
import os
import signal
import struct
import sys
import time
from collections import deque

import zmq


def handle(frames, key, headers, attempt):
    """Does one task: yours. What it raises is said as FAILED; after a ValueError it is never tried again."""
    print("  the task says", b" | ".join(frames).decode(errors="replace"))


HELLO, CREDIT, DONE, FAILED, EXTEND, RETURN, BEAT, BYE = range(0x01, 0x09)
WELCOME, TASK, CANCEL, SOURCE_BYE, WHO = range(0x81, 0x86)


class Worker:
    def __init__(self, endpoint, prefetch):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 1000)
        self.socket.connect(endpoint)
        self.session, self.source, self.prefetch = os.urandom(16), bytes(16), prefetch
        self.waiting = deque()  # here, and not begun
        self.done = deque(maxlen=1024)  # the last ones: HELLO says them, and they are not done again
        self.is_greeted, self.silence, self.is_leaving = False, 0, False

    def say(self, command, fields=b"", words=""):
        print("say", words)
        self.socket.send(b"CD\x01" + bytes([command]) + fields)
        self.spoke = time.monotonic()

    def say_ids(self, command, ids, words):
        self.say(command, struct.pack(f">H{len(ids)}Q", len(ids), *ids), f"{words} {ids}")

    def grant(self, more):
        if more and not self.is_leaving:
            self.say(CREDIT, struct.pack(">I", more), f"CREDIT {more}")

    def greet(self):
        self.waiting.clear()  # the source sends them again
        self.is_greeted = False
        done = struct.pack(f">H{len(self.done)}Q", len(self.done), *self.done)
        self.say(HELLO, self.session + self.source + struct.pack(">I", self.prefetch) + done, "HELLO")

    def hear(self, head, *frames):
        if head[:2] != b"CD" or len(head) < 4:
            return print("ignored what is not understood")
        version, command, fields = head[2], head[3], head[4:]
        if command == WELCOME and version != 1:
            sys.exit("the source is of another version")
        elif version != 1:
            print("ignored what is of another version")
        elif command == WELCOME:
            source, _lease, silence = struct.unpack(">16sII", fields)
            print("hear WELCOME of", source.hex())
            if source != self.source:  # its ids mean other tasks
                self.done.clear()
            self.source, self.silence, self.is_greeted = source, silence / 1000, True
        elif command == WHO and self.is_greeted:
            self.greet()
        elif command == TASK and self.is_greeted and frames:
            number, attempt, again, _lease, _left, length = struct.unpack_from(">QHBIQB", fields)
            key, headers = fields[24 : 24 + length], fields[26 + length :]
            print(f"hear TASK {number}, attempt {attempt}", "again" if again else "")
            self.waiting.append((number, frames, key, headers, attempt))
        elif command == CANCEL:
            gone = struct.unpack(f">{len(fields) // 8}Q", fields[2:])
            print("hear CANCEL", gone)
            kept = [task for task in self.waiting if task[0] not in gone]
            free, self.waiting = len(self.waiting) - len(kept), deque(kept)
            self.grant(free)
        elif command == SOURCE_BYE:
            print("hear BYE: the source may come back")

    def work(self):
        number, *task = self.waiting.popleft()
        try:
            if number not in self.done:
                handle(*task)
                self.done.append(number)
            self.say_ids(DONE, [number], "DONE")
        except Exception as error:
            reason = str(error).encode()[:255].decode(errors="ignore").encode()
            fields = struct.pack(">QBIB", number, isinstance(error, ValueError), 0, len(reason))
            self.say(FAILED, fields + reason, f"FAILED {number}: {error}")
        self.grant(1)

    def run(self):
        self.greet()
        while not self.is_leaving:
            # HELLO again after five seconds without WELCOME; then a third of the silence. Who says nothing at all is not found to
            # be on a new connection.
            pause = (self.silence / 3 or 5) if self.is_greeted else 5
            left = self.spoke + pause - time.monotonic()
            if self.socket.poll(0 if self.waiting else 1000 * max(0, min(left, 1))):
                try:
                    self.hear(*self.socket.recv_multipart())
                except struct.error:
                    print("ignored what is cut short")
            elif self.waiting:
                self.work()
            elif left <= 0:
                self.say(BEAT, words="BEAT") if self.is_greeted else self.greet()
        if self.is_greeted:
            while self.waiting:
                ids = [self.waiting.popleft()[0] for _ in range(min(len(self.waiting), 1024))]
                self.say_ids(RETURN, ids, "RETURN")
            self.say(BYE, words="BYE")
        self.socket.close()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.stdout.reconfigure(line_buffering=True)
    worker = Worker(sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else 1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(worker, "is_leaving", True))
    worker.run()
