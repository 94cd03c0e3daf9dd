"""Makes a large capture for timing: real connections of this machine's TCP on its loopback, copied onto other networks.

    python tests/benchmarks/loopback.py OUT.pcap [--packets 1050000] [--connections 1000] [--from CAPTURE]

A client and a server of ordinary habits (requests and answers of many sizes, either side closing first, resets,
refusals, half-closes) talk on 127.0.0.1 while tcpdump looks on; the capture is then repeated, each copy with its own
two addresses and later than the one before, until there are enough packets. Needs root for tcpdump. `--from` takes an
earlier loopback capture (Ethernet, microseconds) in place of a new one, so that two sizes hold the same connections;
`--packets 0` leaves the recording as it is, to be taken so.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

REQUEST = struct.Struct("!III?")  # bytes that follow, bytes to answer in a piece, pieces, the server closes first
HABITS = 60
"""Clients that differ; what one does it does again and again, so that some hundred shapes of connections come of it."""
ETHERNET, RECORD_HEADER, FILE_HEADER = 14, 16, 24


def exactly(connection: socket.socket, wanted: int) -> bytes:
    """That many bytes, or fewer at the end of the stream."""
    data = b""
    while len(data) < wanted and (part := connection.recv(wanted - len(data))):
        data += part
    return data


def serve(connection: socket.socket) -> None:
    """Answers requests until the client closes, resets, or asks the server to close."""
    with connection, contextlib.suppress(ConnectionResetError):
        while len(head := exactly(connection, REQUEST.size)) == REQUEST.size:
            follows, piece, pieces, closes = REQUEST.unpack(head)
            exactly(connection, follows)
            for _ in range(pieces):
                connection.sendall(bytes(piece))
            if closes:
                return


def accept(listener: socket.socket) -> None:
    """A thread for each connection, until the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


class Habit(NamedTuple):
    """What a client does on each of its connections."""

    requests: list[tuple[int, int, int]]
    """Bytes that follow the head, bytes of a piece of the answer, pieces."""
    end: str
    no_delay: bool

    @classmethod
    def drawn(cls, dice: random.Random) -> Habit:
        """Some requests, then one of the ways to end."""
        sizes = [
            (dice.choice([0, 200, 900]), dice.choice([0, 100, 1400, 3000]), dice.choice([1, 2]))
            for _ in range(dice.choice([1, 2, 2, 3, 4, 4]))
        ]
        end = dice.choice(["client", "client", "client", "server", "server", "half", "reset"])
        return cls(sizes, end, dice.random() < 0.5)


def talk(port: int, habit: Habit) -> None:
    """One connection of a client."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, habit.no_delay)
        for number, (follows, piece, pieces) in enumerate(habit.requests, 1):
            last = number == len(habit.requests)
            head = REQUEST.pack(follows, piece, pieces, last and habit.end == "server")
            connection.sendall(head + bytes(follows))
            if last and habit.end == "half":
                connection.shutdown(socket.SHUT_WR)
            exactly(connection, piece * pieces)
        if habit.end == "server":
            connection.recv(1)
        if habit.end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def refused() -> None:
    """A connection to a port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with socket.socket() as connection:
        connection.connect_ex(("127.0.0.1", port))


def record_loopback(path: str, connections: int) -> None:
    """Has tcpdump write the packets of so many connections on the loopback."""
    dice = random.Random(9293)
    habits = [Habit.drawn(dice) for _ in range(HABITS)]
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = listener.getsockname()[1]
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    command = ["tcpdump", "-i", "lo", "-n", "-U", "-B", "65536", "-w", path, "tcp and host 127.0.0.1"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as tcpdump:
        time.sleep(1)
        for number in range(connections):
            if number % 20 == 19:
                refused()
            else:
                talk(port, dice.choice(habits))
        time.sleep(1)
        tcpdump.send_signal(signal.SIGINT)
    listener.close()


class Tape:
    """A capture file as bytes, with where its records begin."""

    def __init__(self, path: str) -> None:
        self.header = Path(path).read_bytes()[:FILE_HEADER]
        self.data = np.frombuffer(Path(path).read_bytes()[FILE_HEADER:], np.uint8)
        starts, at = [], 0
        while at < self.data.size:
            starts.append(at)
            at += RECORD_HEADER + int.from_bytes(self.data[at + 8 : at + 12].tobytes(), "little")
        self.starts = np.array(starts)
        self.times = self.numbers(0) * 10**6 + self.numbers(4)
        address = self.starts + RECORD_HEADER + ETHERNET + 12
        source = np.array([self.data[at : at + 8].tobytes() == b"\x7f\0\0\1\x7f\0\0\1" for at in address])
        if not source.all():
            raise SystemExit(f"{path}: not everything is IPv4 from 127.0.0.1 to 127.0.0.1")
        self.from_client = self.directions()

    def numbers(self, offset: int) -> np.ndarray:
        """The little-endian 32-bit numbers at that offset of each record."""
        return self.data[self.starts[:, None] + offset + np.arange(4)].view("<u4")[:, 0].astype(np.int64)

    def directions(self) -> np.ndarray:
        """Whether each packet comes from the side that sent the connection's SYN."""
        ip = self.starts + RECORD_HEADER + ETHERNET
        tcp = ip + 4 * (self.data[ip] & 15)
        ports = self.data[tcp[:, None] + np.arange(4)].view(">u2").astype(int)
        flags = self.data[tcp + 13]
        clients: set[tuple[int, int]] = set()
        out = np.zeros(self.starts.size, bool)
        for row, (pair, syn) in enumerate(zip(map(tuple, ports.tolist()), (flags & 0x12) == 0x02, strict=True)):
            if syn:
                clients.add(pair)
                clients.discard(pair[::-1])
            out[row] = pair in clients
        return out

    def copy(self, number: int) -> bytes:
        """The records again with addresses of their own, later by `number` times the whole length."""
        data = self.data.copy()
        times = self.times + number * (int(self.times[-1] - self.times[0]) + 1000)
        for offset, value in ((0, times // 10**6), (4, times % 10**6)):
            data[self.starts[:, None] + offset + np.arange(4)] = value.astype("<u4").view(np.uint8).reshape(-1, 4)
        ends = [np.frombuffer(struct.pack(">I", base + number), np.uint8) for base in (0x0A000001, 0xAC100001)]
        ip = self.starts + RECORD_HEADER + ETHERNET
        for offset, first in ((12, self.from_client), (16, ~self.from_client)):
            data[ip[:, None] + offset + np.arange(4)] = np.where(first[:, None], *ends)
        data[ip[:, None] + np.array([10, 11])] = 0
        words = data[ip[:, None] + np.arange(20)].view(">u2").astype(np.uint32).sum(axis=1)
        checksum = ~((words & 0xFFFF) + (words >> 16)) & 0xFFFF
        data[ip[:, None] + np.array([10, 11])] = checksum.astype(">u2").view(np.uint8).reshape(-1, 2)
        return data.tobytes()


def main() -> None:
    """Record, then write the copies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--packets", type=int, default=1_050_000)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--from", dest="source")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        source = args.source or f"{directory}/lo.pcap"
        if not args.source:
            record_loopback(source, args.connections)
        tape = Tape(source)
        copies = -(-args.packets // tape.starts.size)
        with open(args.out, "wb") as file:
            file.write(tape.header)
            file.writelines((tape.copy(number) for number in range(copies)) if copies else [tape.data])
    print(f"{tape.starts.size:,} packets recorded, {copies} copies")


if __name__ == "__main__":
    main()
