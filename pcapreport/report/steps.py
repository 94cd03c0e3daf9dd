"""The handshake and the teardown step by step: what RFC 9293 expects of each segment against what was seen.

Letters as in textbooks: j and k are the initial sequence numbers of client and server; u, w number the two FINs, v the
segment between them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pcapreport.capture.packet_table import Flag
from pcapreport.language import Text, phrase
from pcapreport.report.model import Step
from pcapreport.report.segments import FEW, SENDERS, Rows
from pcapreport.report.times import Clock
from pcapreport.tcp.connections import CLIENT, SERVER

States = Callable[[int], tuple[str, str]]
"""Row index -> (client's, server's state) after that row."""


class _Teller:
    """Finds rows and words them as steps."""

    def __init__(self, rows: Rows, states: States, clock: Clock) -> None:
        self.rows = rows
        self.states = states
        self.clock = clock
        self.steps: list[Step] = []
        few = slice(FEW if len(rows) <= FEW else 0)
        self._sides, self._flags, self._acks = (c[few].tolist() for c in (rows.side, rows.flags, rows.ack))

    def first(self, side: int, has: int, lacks: int = 0, since: int = 0, ack_from: int | None = None) -> int | None:
        """Index of the first row of `side` with all flags of `has` and none of `lacks`, acknowledging `ack_from`."""
        rows = self.rows
        if len(rows) <= FEW:
            found_among_few = (
                at
                for at in range(since, len(rows))
                if self._sides[at] == side
                and (self._flags[at] & (has | lacks)) == has
                and (ack_from is None or (self._flags[at] & Flag.ACK and self._acks[at] >= ack_from))
            )
            return next(found_among_few, None)
        flags = rows.flags[since:]
        fits = (rows.side[since:] == side) & ((flags & (has | lacks)) == has)
        if ack_from is not None:
            fits &= ((flags & Flag.ACK) != 0) & (rows.ack[since:] >= ack_from)
        found = np.flatnonzero(fits)
        return since + int(found[0]) if len(found) else None

    def seen(self, index: int, seq: str, ack: str, expected: str, observed: str, ok: bool | None) -> None:
        """Add a step that was captured."""
        row = self.rows[index]
        client, server = self.states(index)
        self.steps.append(
            Step(
                number=len(self.steps) + 1,
                sender=SENDERS[row.side],
                segment=row.words,
                frame=row.frame,
                time_s=self.clock.seconds(row.time_ns),
                seq=seq,
                ack=ack,
                expected=expected,
                observed=observed,
                ok=ok,
                states=phrase("client {client}, server {server}", client=client or _UNKNOWN, server=server or _UNKNOWN),
            )
        )

    def missing(self, side: int, segment: str, expected: str) -> None:
        """Add a step that was not captured."""
        self.steps.append(
            Step(
                number=len(self.steps) + 1,
                sender=SENDERS[side],
                segment=segment,
                frame=None,
                time_s=None,
                seq="",
                ack="",
                expected=expected,
                observed=phrase("not seen in this capture"),
                ok=None,
                states="",
            )
        )


_UNKNOWN = phrase("unknown")
_NONE = phrase("none")
_AS_EXPECTED = phrase("as expected")


def numbered(letter: str, relative: int, raw: int) -> Text:
    """A number as the tables write it: letter, relative and raw value."""
    return phrase("{letter} = {number} (raw {raw})", letter=letter, number=relative, raw=raw)


def _plain(relative: int, raw: int) -> Text:
    return phrase("{number} (raw {raw})", number=relative, raw=raw)


def handshake_steps(rows: Rows, states: States, clock: Clock) -> list[Step]:
    """SYN, SYN-ACK, ACK (RFC 9293 section 3.5); four segments where the SYNs crossed; [] without any SYN."""
    teller = _Teller(rows, states, clock)
    syn = teller.first(CLIENT, Flag.SYN, Flag.ACK)
    other_syn = teller.first(SERVER, Flag.SYN, Flag.ACK)
    answer = teller.first(SERVER, Flag.SYN | Flag.ACK)
    if syn is None and answer is None:
        return []
    if syn is None:
        teller.missing(CLIENT, "SYN", phrase("seq = j, no ACK"))
    else:
        number = numbered("j", rows[syn].seq, rows[syn].raw_seq)
        teller.seen(syn, number, _NONE, phrase("a new number j, no ACK"), _AS_EXPECTED, True)
    if other_syn is not None:
        _crossed(teller, other_syn)
    elif answer is None:
        _no_answer(teller, syn)
    else:
        _answer(teller, answer, "k")
        _third(teller, answer)
    return teller.steps


def _answer(teller: _Teller, index: int, letter: str) -> None:
    row = teller.rows[index]
    ack = row.ack or 0
    observed = f"ack = {ack}"
    if ack > 1:
        observed = phrase("ack = {ack}: the SYN's data as well (fast open)", ack=ack)
    teller.seen(
        index,
        numbered(letter, row.seq, row.raw_seq),
        numbered("j+1", ack, row.raw_ack),
        "ack = j+1 = 1",
        observed,
        ack >= 1,
    )


def _third(teller: _Teller, answer: int) -> None:
    third = teller.first(CLIENT, Flag.ACK, Flag.SYN, answer + 1)
    if third is None:
        teller.missing(CLIENT, "ACK", "seq = j+1 = 1, ack = k+1 = 1")
        return
    row = teller.rows[third]
    fits = row.ack is not None and row.ack >= 1
    observed = f"seq = {row.seq}, ack = {row.ack}"
    if row.length:
        observed = phrase(
            "seq = {seq}, ack = {ack}, {length:,} bytes of data on it", seq=row.seq, ack=row.ack, length=row.length
        )
    teller.seen(
        third,
        numbered("j+1", row.seq, row.raw_seq),
        numbered("k+1", row.ack or 0, row.raw_ack),
        "seq = j+1 = 1, ack = k+1 = 1",
        observed,
        fits and not row.flags & Flag.RST,
    )


def _crossed(teller: _Teller, other_syn: int) -> None:
    row = teller.rows[other_syn]
    teller.seen(
        other_syn,
        numbered("k", row.seq, row.raw_seq),
        _NONE,
        phrase("a SYN of its own: both open at once"),
        phrase("the SYNs cross"),
        True,
    )
    answers = sorted(
        (index, side) for side in (CLIENT, SERVER) if (index := teller.first(side, Flag.SYN | Flag.ACK)) is not None
    )
    for index, side in answers:
        _answer_crossed(teller, index, *(("j", "k") if side == CLIENT else ("k", "j")))
    for side in (CLIENT, SERVER):
        if side not in [found for _, found in answers]:
            teller.missing(side, "SYN, ACK", phrase("the same number again, ack = the other's + 1"))


def _answer_crossed(teller: _Teller, index: int, mine: str, other: str) -> None:
    row = teller.rows[index]
    teller.seen(
        index,
        numbered(mine, row.seq, row.raw_seq),
        numbered(f"{other}+1", row.ack or 0, row.raw_ack),
        phrase("seq = {mine} again, ack = {other}+1 = 1", mine=mine, other=other),
        f"seq = {row.seq}, ack = {row.ack}",
        row.seq == 0 and row.ack == 1,
    )


def _no_answer(teller: _Teller, syn: int | None) -> None:
    refusal = teller.first(SERVER, Flag.RST, 0, (syn or 0) + 1)
    if refusal is None:
        teller.missing(SERVER, "SYN, ACK", "ack = j+1 = 1")
        return
    row = teller.rows[refusal]
    covers = row.ack is not None and row.ack >= 1
    teller.seen(
        refusal,
        _plain(0, row.raw_seq),
        numbered("j+1", row.ack or 0, row.raw_ack),
        phrase("SYN, ACK with ack = j+1 = 1"),
        phrase("RST with ack = j+1: refused") if covers else "RST",
        False,
    )


def teardown_steps(rows: Rows, states: States, clock: Clock) -> list[Step]:
    """FIN, ACK, FIN, ACK (RFC 9293 section 3.6), three segments where the middle two are one; [] without a FIN."""
    teller = _Teller(rows, states, clock)
    fins = {side: teller.first(side, Flag.FIN) for side in (CLIENT, SERVER)}
    present = sorted((index, side) for side, index in fins.items() if index is not None)
    if not present:
        return []
    events = []
    for (index, side), letter in zip(present, "uw", strict=False):
        events.append((index, _fin_teller(index, letter)))
        end = rows[index].end
        ack = teller.first(1 - side, Flag.ACK, Flag.RST, index + 1, end)
        events.append((len(rows) if ack is None else ack, _ack_teller(ack, 1 - side, letter, end, fins[1 - side])))
    for _, tell in sorted(events, key=lambda event: event[0]):
        tell(teller)
    if len(present) == 1:
        teller.missing(1 - present[0][1], "FIN, ACK", phrase("seq = w, after all its data"))
    return teller.steps


_SECOND_FIN = phrase("seq = {seq}, ack = {ack}: acknowledges the first FIN")
_CROSSING_FIN = phrase("seq = {seq}, ack = {ack}: sent before the first FIN arrived, so the FINs crossed")


def _fin_teller(index: int, letter: str) -> Callable[[_Teller], None]:
    def tell(teller: _Teller) -> None:
        row = teller.rows[index]
        first = letter == "u"
        other = teller.first(1 - row.side, Flag.FIN)
        covers = other is not None and other < index and row.ack is not None and row.ack >= teller.rows[other].end
        expected = phrase("seq = u: all its data sent") if first else "seq = w, ack = u+1"
        observed = f"seq = {row.end - 1}, ack = {row.ack}"
        if not first:
            observed = phrase(_SECOND_FIN if covers else _CROSSING_FIN, seq=row.end - 1, ack=row.ack)
        number = numbered(letter, row.end - 1, (row.raw_seq + row.length) % (1 << 32))
        ack = _NONE if row.ack is None else _plain(row.ack, row.raw_ack)
        teller.seen(index, number, ack, expected, observed, True if first or covers else None)

    return tell


def _ack_teller(index: int | None, side: int, letter: str, end: int, own_fin: int | None) -> Callable[[_Teller], None]:
    def tell(teller: _Teller) -> None:
        expected = f"ack = {letter}+1 = {end}"
        if index is None:
            teller.missing(side, "ACK", expected)
        elif index != own_fin:  # else the FIN's own line says it
            row = teller.rows[index]
            number = numbered("v", row.seq, row.raw_seq) if letter == "u" else _plain(row.seq, row.raw_seq)
            ack = row.ack or 0
            teller.seen(index, number, numbered(f"{letter}+1", ack, row.raw_ack), expected, f"ack = {ack}", ack == end)

    return tell
