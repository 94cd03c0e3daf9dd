"""The files of a run: captures at three taps and spoiled copies of them, the ledger, the truth, the description."""

from __future__ import annotations

import dataclasses
import gzip
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lab.path import Frame
from lab.recorders import ETHERNET, RAW, Gzipped, Pcap, Recorder

from .checks import doubts
from .play import Run
from .segments import ACK, RST, SYN, distance
from .truth import Connection, Transition, connections
from .wire import Packet

TAPS = ("client", "middle", "server")
VARIANTS = ("caploss", "late", "early", "oneway")
Frames = list[tuple[int, Packet]]
_WHOLE, _HEADERS = 262144, 14 + 40 + 60
"""Bytes kept of a packet: all; the longest headers of Ethernet, IPv6 and TCP."""


def write(run: Run, folder: Path, compact: bool = False) -> dict[str, Any]:
    """Write all files of a run, compact ones with the packets' headers only; returns its description."""
    folder.mkdir(parents=True, exist_ok=True)
    found = connections(run)
    chance = random.Random(f"files/{run.scenario.name}/{run.seed}")
    link, nanoseconds = chance.choice((RAW, ETHERNET)), chance.random() < 0.5
    recorder: Recorder = Pcap(link, nanoseconds, _HEADERS if compact else _WHOLE)
    recorder = Gzipped(recorder) if compact else recorder
    captures: list[dict[str, Any]] = []
    numbers: dict[int, dict[str, int]] = {packet.id: {} for packet in run.ledger}
    turn = chance.randrange(len(VARIANTS))
    for place, tap in enumerate(TAPS):
        seen = _seen(run.ledger, tap)
        captures.append(_capture(run, folder, tap, "", seen, recorder, numbers))
        variant = VARIANTS[(run.seed + turn + place) % len(VARIANTS)]
        spoiled, how = _spoil(seen, variant, chance)
        if spoiled:
            captures.append(_capture(run, folder, f"{tap}.{variant}", variant, spoiled, recorder, numbers) | how)
    form = {"linktype": link.number, "nano": nanoseconds}
    captures = [capture | form for capture in captures]
    _write_ledger(run, folder, found, numbers)
    _write_truth(run, folder, found, compact)
    warnings = [doubt for connection in found for doubt in doubts(connection, run)]
    meta = _description(run, found, captures, warnings)
    (folder / "meta.json").write_text(json.dumps(meta, indent=None if compact else 1))
    return meta


# -- captures ----------------------------------------------------------------------------------------------------------


def _seen(ledger: Iterable[Packet], tap: str) -> Frames:
    """(time, packet) as they pass a tap: at a host when it sends, and just before it is given a packet."""
    near = {"client": "A", "server": "B"}.get(tap)
    frames: Frames = []
    for packet in ledger:
        if tap == "middle":
            at = packet.middle
        elif packet.sender == near:
            at = packet.sent if packet.origin == "tx" else None
        else:
            at = packet.delivered[0] if packet.delivered else None
        if at is not None:
            frames.append((at, packet))
    return sorted(frames, key=lambda frame: frame[0])


def _spoil(frames: Frames, variant: str, chance: random.Random) -> tuple[Frames, dict[str, Any]]:
    """A capture of the same with packets missed, a late start, an early end, or one direction."""
    if len(frames) < 4:
        return [], {}
    if variant == "caploss":
        rate = chance.choice((0.03, 0.09))
        return [frame for frame in frames if chance.random() >= rate], {"loss": rate}
    if variant == "oneway":
        side = chance.choice("AB")
        return [frame for frame in frames if frame[1].sender == side], {"dir": side}
    share = chance.choice((0.2, 0.5, 0.8) if variant == "late" else (0.3, 0.6, 0.9))
    at = round(len(frames) * share)
    return (frames[at:], {"start_frac": share}) if variant == "late" else (frames[:at], {"end_frac": share})


def _capture(
    run: Run,
    folder: Path,
    stem: str,
    variant: str,
    frames: Frames,
    recorder: Recorder,
    numbers: dict[int, dict[str, int]],
) -> dict[str, Any]:
    for number, (_, packet) in enumerate(frames, 1):
        numbers[packet.id][stem] = number
    content = recorder.encode([Frame(at + run.epoch, p.data, p.sender == "A") for at, p in frames])
    file = f"{stem}{recorder.suffix}"
    (folder / file).write_bytes(content)
    described: dict[str, Any] = {
        "file": file,
        "vantage": stem.partition(".")[0],
        "frames": len(frames),
        "bytes": len(content),
    }
    return described | ({"variant": variant} if variant else {})


# -- ledger ------------------------------------------------------------------------------------------------------------


def _write_ledger(run: Run, folder: Path, found: Sequence[Connection], numbers: dict[int, dict[str, int]]) -> None:
    labels: dict[int, dict[str, Any]] = {}
    owner = {packet.id: connection.id for connection in found for packet in connection.packets}
    for connection in found:
        for sender in "AB":
            labels |= _labels([p for p in connection.packets if p.sender == sender], connection)
    late = _overtaken(run.ledger)
    lines = []
    for packet in run.ledger:
        line = _ledger_line(packet, run.epoch) | {"conn": owner[packet.id], "frames": numbers[packet.id]}
        line |= labels.get(packet.id, {})
        if packet.id in late:
            line["labels"] = [*line.get("labels", []), "reordered"]
        lines.append(json.dumps(line))
    (folder / "ledger.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


def _ledger_line(packet: Packet, epoch: int) -> dict[str, Any]:
    segment = packet.segment
    line: dict[str, Any] = {"id": packet.id, "dir": packet.sender, "origin": packet.origin}
    for key, at in (("t_send", packet.sent), ("t_inj", packet.injected), ("t_mid", packet.middle)):
        if at is not None and not (packet.origin == "netdup" and key != "t_mid"):
            line[key] = at + epoch
    if packet.delivered:
        line["t_deliver"] = [at + epoch for at in packet.delivered]
    optional = {"drop": packet.drop, "dup_of": packet.copy_of, "notes": packet.notes}
    line |= {key: value for key, value in optional.items() if value not in ("", None, [])}
    if packet.origin != "tx":
        line["labels"] = [packet.origin]
    tcp = {
        "src": segment.source, "sport": segment.source_port, "dst": segment.target, "dport": segment.target_port,
        "seq": segment.seq, "ack": segment.ack, "flags": segment.letters, "len": segment.length, "win": segment.window,
    }  # fmt: skip
    return line | {"tcp": tcp | ({"ts": list(segment.stamps)} if segment.stamps else {})}


def _labels(packets: Sequence[Packet], connection: Connection) -> dict[int, dict[str, Any]]:
    """What the sender sent again, in part or in full, and its empty probes."""
    found: dict[int, dict[str, Any]] = {}
    sent: list[Packet] = []
    for packet in (p for p in packets if p.origin == "tx"):
        segment = packet.segment
        if not segment.space:
            newest = max((p.segment.end for p in sent), key=lambda end: distance(end, segment.seq), default=None)
            if newest is not None and segment.only(ACK) and distance(newest, segment.seq) == 1:
                found[packet.id] = {"labels": ["probe"]}
            continue
        earlier = [p for p in sent if _overlap(p, packet)]
        first = next((p for p in earlier if p.segment.only(SYN)), None)
        answered = any(p.segment.only(SYN | ACK) for p in earlier)
        if first is not None and segment.only(SYN | ACK) and not answered:
            found[packet.id] = {"labels": ["simopen_synack"]}
            sent.append(packet)
            continue
        if earlier and not segment.flags & RST:
            found[packet.id] = _sent_again(packet, earlier)
        if not segment.flags & RST:
            sent.append(packet)
    return found


def _overlap(one: Packet, two: Packet) -> bool:
    a, b = one.segment, two.segment
    shift = distance(b.seq, a.seq)
    return -b.space < shift < a.space


def _sent_again(packet: Packet, earlier: Sequence[Packet]) -> dict[str, Any]:
    full = any(p.segment.seq == packet.segment.seq and p.segment.space >= packet.segment.space for p in earlier)
    arrived = [p.delivered[0] for p in earlier if p.delivered]
    return {
        "labels": ["retransmission"],
        "retx_kind": "full" if full else "partial",
        "retx_of": [p.id for p in earlier],
        "retx_orig_delivered": bool(arrived),
        "retx_orig_delivered_before": any(at <= packet.begun for at in arrived),
    }


def _overtaken(ledger: Iterable[Packet]) -> set[int]:
    """Packets delivered after one of the same sender that was sent later."""
    late: set[int] = set()
    newest = {"A": 0, "B": 0}
    arrived = sorted((p for p in ledger if p.delivered and p.origin == "tx"), key=lambda p: (p.delivered or (0, 0))[0])
    for packet in arrived:
        if packet.begun < newest[packet.sender]:
            late.add(packet.id)
        newest[packet.sender] = max(newest[packet.sender], packet.begun)
    return late


# -- truth -------------------------------------------------------------------------------------------------------------


def _write_truth(run: Run, folder: Path, found: Sequence[Connection], compact: bool) -> None:
    lines = []
    for connection in found:
        first, second = (f"{address}|{port}" for address, port in connection.pair)
        syns = {p.sender: p.segment.seq for p in reversed(connection.packets) if p.segment.flags & SYN}
        final = {s: chain[-1].new if chain else connection.start[s] for s, chain in connection.sides.items()}
        lines.append(
            {
                "type": "conn",
                "conn": connection.id,
                "family": 6 if ":" in first else 4,
                "A": first,
                "B": second,
                "life": connection.life,
                "packets": len(connection.packets),
                "start": connection.start,
                "final": final,
                "isn": {"A": syns.get("A"), "B": syns.get("B")},
                "flags": connection.flags,
                "stateless": [],
                "spoofed": [],
            }  # fmt: skip
        )
    for connection in found:
        for side, chain in connection.sides.items():
            ends = connection.pair if side == "A" else connection.pair[::-1]
            local, remote = (f"{address}|{port}" for address, port in ends)
            head = {"type": "transition", "conn": connection.id, "side": side, "local": local, "remote": remote}
            lines += [head | {"i": i} | _transition(item, run.epoch) for i, item in enumerate(chain)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    if compact:
        (folder / "truth.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        (folder / "truth.jsonl").write_text(text)


def _transition(item: Transition, epoch: int) -> dict[str, Any]:
    low, high = item.low + epoch, item.high + epoch
    line: dict[str, Any] = {"old": item.old, "new": item.new, "t": low, "t_lo": low, "t_hi": high, "src": item.source}
    optional = {"cause": item.cause or None, "packet": item.packet, "evidence": item.evidence}
    line |= {key: value for key, value in optional.items() if value is not None}
    return line | ({"transient": True} if item.transient else {})


def _description(
    run: Run, found: Sequence[Connection], captures: list[dict[str, Any]], warnings: list[str]
) -> dict[str, Any]:
    slow = max((p.delivered[1] - p.delivered[0] for p in run.ledger if p.delivered), default=0)
    return {
        "schema": "klab/1",
        "run": f"{run.scenario.name}-{run.seed}",
        "scenario": run.scenario.name,
        "seed": run.seed,
        "doc": run.scenario.summary,
        "params": run.plays,
        "path": {side: [dataclasses.asdict(hop) for hop in hops] for side, hops in run.hops.items()},
        "sysctl": run.settings,
        "counters": run.counters,
        "addr": {side: list(both.values()) for side, both in run.addresses.items()},
        "captures": captures,
        "packets": len(run.ledger),
        "connections": len(found),
        "transitions": sum(len(chain) for connection in found for chain in connection.sides.values()),
        "slowest_delivery_ns": slow,
        "to_the_end": run.to_the_end,
        "errors": run.errors,
        "warnings": warnings,
        "t_end": run.ended + run.epoch,
    }
