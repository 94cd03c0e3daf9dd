"""Much data, little room, and options."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import suppress

from lab.talk import text

from kernel_lab.play import Settings, Talk, abort, quietly, read, read_to_end
from kernel_lab.segments import Segment
from kernel_lab.wire import other

from .registry import on_both, scenario


def _send(end: socket.socket, size: int) -> threading.Thread:
    thread = threading.Thread(target=quietly, args=(end.sendall, text(size)), daemon=True)
    thread.start()
    return thread


def _close(t: Talk, ends: dict[str, socket.socket]) -> None:
    closer = t.variant("closer", "AB")
    ends[closer].close()
    read_to_end(ends[other(closer)])
    time.sleep(t.pick("pause", (0, 0.1)))
    ends[other(closer)].close()


@scenario("lossy", "disorder", "mix")
def bulk(t: Talk) -> None:
    """A transfer up, down or both ways over a lossy, reordering, duplicating path."""
    mode, size = t.variant("mode", ("up", "down", "both")), t.pick("size", (20_000, 60_000))
    ends = t.connect()
    senders = {"up": "A", "down": "B", "both": "AB"}[mode]
    threads = [_send(ends[side], size) for side in senders]
    for side in senders:
        read(ends[other(side)], size)
    for thread in threads:
        thread.join(20)
    _close(t, ends)


@scenario("mix", "lossy")
def bulk_to_the_end(t: Talk) -> None:
    """Both send and close at once behind their data; nobody waits for the other."""
    ends = t.connect()
    for side in "AB":
        ends[side].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200_000)
        ends[side].sendall(text(t.pick(f"size{side}", (500, 20_000, 40_000))))
        ends[side].shutdown(socket.SHUT_WR)
    for end in ends.values():
        read_to_end(end)
    for end in ends.values():
        end.close()


@scenario("clean")
def data_loss(t: Talk) -> None:
    """A one-way transfer with chosen losses: in the middle, at the tail, of the retransmission too."""
    kind, sender = t.variant("kind", ("fast", "tail", "rto", "again", "many")), t.variant("sender", "AB")
    ends, size = t.connect(), 22_000

    def data(segment: Segment) -> bool:
        return segment.length > 0

    skip, times = {"fast": (3, 1), "tail": (15, 1), "rto": (14, 3), "again": (3, 1), "many": (2, 5)}[kind]
    t.lose("loss", sender, data, times, skip=skip)
    if kind == "again":
        t.lose("loss2", sender, data, 1, skip=16)
    _send(ends[sender], size)
    read(ends[other(sender)], size)
    _close(t, ends)


@scenario("clean")
def slow_reader(t: Talk) -> None:
    """An application that reads little at a time."""
    t.listen().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8000)
    ends = t.connect()
    sending = _send(ends["A"], 30_000)
    for _ in range(15):
        read(ends["B"], 2000)
        time.sleep(0.04)
    sending.join(10)
    _close(t, ends)


@scenario("clean")
def zero_window(t: Talk) -> None:
    """The receiver stops reading; it goes on later, the sender closes behind the closed window, or one aborts."""
    end = t.variant("end", ("drain", "close_early", "abort_sender", "abort_receiver", "close_receiver"))
    t.listen().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, t.pick("rcvbuf", (4608, 9000)))
    ends = t.connect()
    ends["A"].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200_000)
    if t.variant("update_lost", (False, True)):
        t.lose("update", "B", lambda s: s.window > 0 and not s.length, 1, skip=8)
    size = 30_000
    sending = _send(ends["A"], size)
    time.sleep(0.3)
    if end == "close_early":
        ends["A"].close()
    time.sleep(t.pick("stall", (0.5, 1.5)))
    if end == "abort_sender":
        abort(ends["A"])
    elif end in ("abort_receiver", "close_receiver"):
        (abort if end == "abort_receiver" else socket.socket.close)(ends["B"])
    else:
        read(ends["B"], size)
        sending.join(10)
        if end == "drain":
            _close(t, ends)
        else:
            read_to_end(ends["B"])
            ends["B"].close()
    time.sleep(0.3)


@scenario("clean")
def small_mss(t: Talk) -> None:
    """A small maximum segment size."""
    client = t.client()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, t.variant("mss", (88, 256, 536)))
    ends = t.connect(client)
    t.exchange(ends, "A", (600, 2000))
    _close(t, ends)


def _without_options(seed: int) -> Settings:
    names = [("tcp_timestamps",), ("tcp_sack",), ("tcp_window_scaling",), ("tcp_timestamps", "tcp_sack")]
    chosen = [*names, ("tcp_timestamps", "tcp_sack", "tcp_window_scaling")][seed % 5]
    return on_both(**dict.fromkeys(chosen, "0"))


@scenario("clean", "mix", settings=_without_options)
def options_off(t: Talk) -> None:
    """Without timestamps, SACK, window scaling, or all of them."""
    ends = t.connect()
    for _ in range(3):
        t.exchange(ends, "A", (60, 4000))
    _close(t, ends)


@scenario("clean", settings=lambda seed: on_both(tcp_ecn="1"))
def ecn(t: Talk) -> None:
    """ECN negotiated."""
    ends = t.connect()
    t.exchange(ends, "A", (20_000, 500))
    _close(t, ends)


@scenario("clean")
def urgent(t: Talk) -> None:
    """Urgent data."""
    ends, side = t.connect(), t.variant("side", "AB")
    ends[other(side)].setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    ends[side].sendall(text(100))
    ends[side].send(b"!", socket.MSG_OOB)
    ends[side].sendall(text(50))
    read(ends[other(side)], 151)
    _close(t, ends)


@scenario("clean", "lossy")
def server_first(t: Talk) -> None:
    """The server speaks first, a dialogue with pauses follows."""
    ends = t.connect()
    ends["B"].sendall(text(80))
    read(ends["A"], 80)
    for _ in range(t.pick("rounds", (1, 3))):
        t.exchange(ends, "A", (60, 500))
        time.sleep(t.pick("think", (0, 0.06)))
    _close(t, ends)


def _serve(t: Talk, accepted: socket.socket, close_first: bool) -> None:
    with suppress(OSError):
        read(accepted, 200)
        accepted.sendall(text(t.pick("resp", (50, 3000))))
        if not close_first:
            read_to_end(accepted)
    accepted.close()


def _ask(t: Talk, close_first: bool, aborts: bool) -> None:
    client = t.client()
    with suppress(OSError):
        client.connect(t.server_at)
        client.sendall(text(200))
        if aborts:
            abort(client)
            return
        read(client, 50)
        if not close_first:
            read_to_end(client)
    client.close()


@scenario("lossy", "mix")
def many_short(t: Talk) -> None:
    """Short connections side by side over a lossy path; either side closes first, some abort."""
    listener = t.listen(64)
    threads = []
    for _ in range(6):
        who = t.chance.choice(("A", "A", "B", "B", "both", "abort"))
        asking = threading.Thread(target=_ask, args=(t, who in ("A", "both"), who == "abort"), daemon=True)
        asking.start()
        threads.append(asking)
        with suppress(OSError):
            serving = threading.Thread(target=_serve, args=(t, t.keep(listener.accept()[0]), who in ("B", "both")))
            serving.start()
            threads.append(serving)
        time.sleep(random.Random(t.number).uniform(0, 0.05))
    for thread in threads:
        thread.join(25)
