"""The same four-tuple again."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from lab.bench import start_sequence_at
from lab.talk import text

from kernel_lab.play import Talk, abort, read, read_to_end
from kernel_lab.segments import MODULUS
from kernel_lab.wire import other

from .registry import on_both, scenario


def _life(t: Talk, client: socket.socket, closer: str, pause: float = 0.0) -> None:
    ends = t.connect(client)
    t.exchange(ends)
    ends[closer].close()
    read_to_end(ends[other(closer)])
    time.sleep(pause)
    ends[other(closer)].close()
    t.rest()


@scenario("clean", settings=lambda seed: on_both(tcp_tw_reuse="1", tcp_timestamps=str(seed % 2)))
def tw_reuse(t: Talk) -> None:
    """The four-tuple again while the client or the server is in TIME-WAIT; with lower numbers it collides there."""
    kind = t.variant("kind", ("server_tw", "collision", "client_tw"))
    first = t.client()
    if kind == "collision":
        start_sequence_at(first, 2_000_000_000)
    port = first.getsockname()[1]
    _life(t, first, "A" if kind == "client_tw" else "B", t.pick("pause", (0, 0.1)))
    time.sleep(t.variant("gap", (1.3, 0.2) if kind != "client_tw" else (1.3, 2.0)))
    again = t.client(port)
    if kind == "collision":
        start_sequence_at(again, 2_000_000_000 - t.pick("below", (100_000, 500)))
    with suppress(OSError):  # without timestamps the client's own TIME-WAIT does not give the ports back
        _life(t, again, t.pick("closer", "AB"))


@scenario("clean")
def reuse_after_rst(t: Talk) -> None:
    """The same four-tuple several times, each life ended by RST."""
    first = t.client()
    port = first.getsockname()[1]
    for number in range(t.pick("lives", (2, 3))):
        ends = t.connect(first if number == 0 else t.client(port))
        t.exchange(ends)
        t.rest()
        side = t.variant("side", "AB")
        abort(ends[side])
        t.rest(least=t.pick("gap", (0.05, 0.3)))
        ends[other(side)].close()


@scenario("clean")
def reuse_after_tw(t: Talk) -> None:
    """The same four-tuple again after TIME-WAIT ran out."""
    first = t.client()
    port = first.getsockname()[1]
    _life(t, first, t.variant("closer", "AB"))
    time.sleep(63)
    _life(t, t.client(port), t.pick("second", "AB"))


@scenario("clean", settings=lambda seed: on_both(tcp_timestamps=str(seed % 2)))
def seq_wrap(t: Talk) -> None:
    """The client's numbers wrap: in the data, at the SYN, or at the FIN."""
    where, size = t.variant("where", ("data", "syn", "fin", "fin+1")), t.pick("size", (3000, 30_000))
    client = t.client()
    back = {"data": size // 2, "syn": 1, "fin": size + 1, "fin+1": size + 2}[where]
    start_sequence_at(client, MODULUS - back)
    ends = t.connect(client)
    client.sendall(text(size))
    closer = t.variant("closer", "AB")
    if closer == "A":
        client.close()
        read_to_end(ends["B"])
        ends["B"].close()
    else:
        read(ends["B"], size)
        ends["B"].close()
        read_to_end(client)
        client.close()
