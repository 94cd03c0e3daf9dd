"""Scenarios in a notation close to packetdrill's: a capture one can read aloud, and the findings it must give.

    # A comment; the first says what the scenario shows.
    isn C 1000                                     raw initial sequence number of a side from here on
    0.000 C > S S 0:0(0) win 64240 ts 100 0        a frame: time, sender, flags, first:last(payload)
    0.020 S > C S. 0:0(0) ack 1 ts 500 100         "." is ACK; also F R P U E W A; "-": none; numbers are relative
    0.021 copy 2                                   frame 2 once more, equal in every field
    0.030 192.0.2.1 ! C 0 host unreachable          an ICMP error to C that quotes its segment of this number; also
                                                   "mtu N", "length N" (of the quoted packet; else 1500) before the kind
    9.000 end                                      the capture goes on until here (a packet of another protocol)
    capture damaged | capture drops 12             what the file says of itself
    => fin_retransmission@12 server                a finding: rule, frames, side; frames "-" for none
    => nothing

More words of a frame: id N (IP ID; else counted per sender; 0 for none), ttl N, sack A:B ..., len-cut (snaplen), port N
(the client's port), bad-sum or no-sum (its checksum is wrong, or left to the network card),
scale N (the window scale option). All findings of the capture
must be listed, and no others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np

from pcapreport.capture.checksums import COLUMN as CHECKSUMS
from pcapreport.capture.checksums import Checksum, Senders
from pcapreport.capture.clock import steps_back
from pcapreport.capture.icmp import IcmpError
from pcapreport.capture.model import Capture, Interface, Problem
from pcapreport.capture.packet_table import COLUMNS, Flag, Option, PacketTable, RowNote
from pcapreport.findings import find_all
from pcapreport.findings.model import Evidence, Finding
from pcapreport.findings.passes import Passes
from pcapreport.language import phrase
from pcapreport.settings import SECOND, Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.histories import reconstruct_all

FLAGS = {".": Flag.ACK, "S": Flag.SYN, "F": Flag.FIN, "R": Flag.RST, "P": Flag.PSH, "U": Flag.URG}
FLAGS |= {"E": Flag.ECE, "W": Flag.CWR, "A": Flag.AE, "-": 0}
ADDRESSES = {"C": 0x0A000001, "S": 0x0A000002}
START = 1_700_000_000 * SECOND
ICMP_KINDS = {
    "network unreachable": (3, 0),
    "host unreachable": (3, 1),
    "port unreachable": (3, 3),
    "fragmentation needed": (3, 4),
    "communication prohibited": (3, 13),
    "redirect": (5, 1),
    "time exceeded (hop limit)": (11, 0),
}
COMPLAINT = re.compile(r"([\d.]+) (\S+) ! ([CS]) (-?\d+)(?: mtu (\d+))?(?: length (\d+))? ([a-z].*)")
FRAME = re.compile(r"([\d.]+) ([CS]) > [CS] ([.SFRPUEWA]+|-) (-?\d+):(-?\d+)\((\d+)\)(.*)")


@dataclass(frozen=True)
class Frame:
    """One TCP segment; sequence numbers raw."""

    time_ns: int
    sender: str
    flags: int
    seq: int
    length: int
    ack: int
    window: int
    ip_id: int
    port: int = 4000
    ttl: int = 64
    stamp: tuple[int, int] | None = None
    sack: tuple[tuple[int, int], ...] = ()
    cut: bool = False
    checksum: Checksum = Checksum.GOOD
    scale: int = -1


@dataclass(frozen=True)
class Complaint:
    """An ICMP error; `quoted`: whose segment."""

    time_ns: int
    sender: str
    quoted: str
    seq: int
    kind: str
    mtu: int
    length: int
    port: int = 4000

    def error(self, frame: int) -> IcmpError:
        """As the capture has it."""
        other = "S" if self.quoted == "C" else "C"
        ports = {"C": self.port, "S": 80}
        number, code = ICMP_KINDS[self.kind]
        return IcmpError(
            frame=frame,
            time_ns=self.time_ns,
            sender=str(ip_address(ADDRESSES[self.sender])) if self.sender in ADDRESSES else self.sender,
            kind=phrase(self.kind),
            type=number,
            code=code,
            mtu=self.mtu,
            length=self.length,
            src=str(ip_address(ADDRESSES[self.quoted])),
            dst=str(ip_address(ADDRESSES[other])),
            sport=ports[self.quoted],
            dport=ports[other],
            seq=self.seq,
        )


@dataclass
class Scenario:
    """Frames, what the capture says of itself, and the findings it must give."""

    name: str
    frames: list[Frame | Complaint] = field(default_factory=list)
    end_ns: int | None = None
    damaged: bool = False
    drops: int | None = None
    expected: set[tuple[str, tuple[int, ...], str]] = field(default_factory=set)

    def capture(self) -> Capture:
        """The capture these frames make."""
        rows = table(self.frames)
        times = [frame.time_ns for frame in self.frames]
        last = max([*times, self.end_ns or 0], default=START)
        problem = Problem("cut", "the last record is cut", None, None)
        return Capture(
            file=self.name,
            sha256="",
            size_bytes=0,
            container="pcap",
            compression="",
            byte_order="little",
            packets=len(self.frames),
            first_ns=times[0] if times else None,
            last_ns=last,
            complete=not self.damaged,
            interfaces=(Interface(1, "EN10MB", 0, "1e-9", drops=self.drops),),
            problems=(problem,) if self.damaged else (),
            comments=(),
            application="",
            os="",
            hardware="",
            other_packets={},
            table=rows,
            offloading=Senders().offloading(),
            steps_back=steps_back(rows["frame"], rows["time_ns"]),
            icmp_errors=tuple(
                one.error(number) for number, one in enumerate(self.frames, 1) if isinstance(one, Complaint)
            ),
        )

    def evidence(self, settings: Settings | None = None) -> Evidence:
        """What the detectors see."""
        settings = settings or Settings()
        capture = self.capture()
        connections = find_connections(capture.table)
        histories = reconstruct_all(connections, capture.last_ns or 0, settings)
        return Evidence(capture, connections, histories, Passes.of(connections, settings), settings)

    def findings(self) -> list[Finding]:
        """What the detectors say."""
        seen = self.evidence()
        return find_all(seen.capture, seen.table, seen.histories, seen.settings)

    def shifted(self, time: int = 0, client: int = 0, server: int = 0) -> Scenario:
        """The same at another time and with other initial sequence numbers."""
        by = {"C": (client, server), "S": (server, client)}
        moved = [
            replace(frame, time_ns=frame.time_ns + time, seq=(frame.seq + by[frame.quoted][0]) % 2**32)
            if isinstance(frame, Complaint)
            else replace(
                frame,
                time_ns=frame.time_ns + time,
                seq=(frame.seq + by[frame.sender][0]) % 2**32,
                ack=(frame.ack + by[frame.sender][1]) % 2**32 if frame.flags & Flag.ACK else 0,
                sack=tuple(tuple((n + by[frame.sender][1]) % 2**32 for n in one) for one in frame.sack),  # type: ignore[misc]
            )
            for frame in self.frames
        ]
        return replace(self, frames=moved, end_ns=None if self.end_ns is None else self.end_ns + time)

    def doubled(self, gap_ns: int) -> Scenario:
        """Every frame captured twice."""
        twice = [replace(frame, time_ns=frame.time_ns + by) for frame in self.frames for by in (0, gap_ns)]
        return replace(self, frames=twice)


def table(sent: Sequence[Frame | Complaint]) -> PacketTable:
    """The packet table of IPv4 frames."""
    numbered = [(number, frame) for number, frame in enumerate(sent, 1) if isinstance(frame, Frame)]
    frames = [frame for _, frame in numbered]
    columns: dict[str, Any] = {name: np.zeros(len(frames), column.dtype) for name, column in COLUMNS.items()}
    columns[CHECKSUMS] = np.zeros(len(frames), np.uint8)
    sacks: list[np.ndarray[Any, Any]] = []
    for at, (number, frame) in enumerate(numbered):
        other = "S" if frame.sender == "C" else "C"
        ports = {"C": frame.port, "S": 80}
        values = {
            "frame": number,
            "time_ns": frame.time_ns,
            "wire_len": 54 + frame.length,
            "cap_len": 54 if frame.cut else 54 + frame.length,
            "ip_version": 4,
            "src_lo": ADDRESSES[frame.sender],
            "dst_lo": ADDRESSES[other],
            "sport": ports[frame.sender],
            "dport": ports[other],
            "ttl": frame.ttl,
            "ip_id": frame.ip_id,
            "seq": frame.seq,
            "ack": frame.ack,
            "flags": frame.flags,
            "window": frame.window,
            "checksum": hash((frame.seq, frame.ack, frame.flags, frame.length, frame.stamp, frame.sack)) & 0xFFFF,
            "payload_len": frame.length,
            "window_scale": frame.scale,
            "options": Option.WINDOW_SCALE if frame.scale >= 0 else 0,
            "sack": -1,
            "notes": RowNote.SNAPLEN_CUT if frame.cut else 0,
            CHECKSUMS: frame.checksum,
        }
        if frame.stamp:
            values |= {
                "options": values["options"] | Option.TIMESTAMP,
                "ts_val": frame.stamp[0],
                "ts_ecr": frame.stamp[1],
            }
        if frame.sack:
            values["sack"] = len(sacks)
            block = np.zeros((4, 2), np.uint32)
            block[: len(frame.sack)] = frame.sack
            sacks.append(block)
        for name, value in values.items():
            columns[name][at] = value
    return PacketTable(columns, np.array(sacks, np.uint32).reshape(-1, 4, 2), ("ethernet",))


def parse(text: str, name: str) -> Scenario:
    """A scenario from its text."""
    scenario, reader = Scenario(name), _Reader()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].strip()
        if words:
            try:
                reader.take(words, scenario)
            except (ValueError, IndexError, KeyError, AttributeError) as error:
                raise ValueError(f"{name}:{number}: {line.strip()}: {error}") from error
    return scenario


def load(path: Path) -> Scenario:
    """A scenario from its file."""
    return parse(path.read_text(encoding="utf-8"), path.stem)


class _Reader:
    """Turns lines into frames; remembers initial numbers and IP IDs."""

    def __init__(self) -> None:
        self.isn = {"C": 1000, "S": 5000}
        self.ids = {"C": 100, "S": 7000}

    def take(self, line: str, scenario: Scenario) -> None:
        """One line that is not empty."""
        words = line.split()
        if words[0] == "=>":
            self._expect(words, scenario)
        elif words[0] == "isn":
            self.isn[words[1]] = int(words[2])
        elif words[0] == "capture":
            scenario.damaged |= words[1] == "damaged"
            scenario.drops = int(words[2]) if words[1] == "drops" else scenario.drops
        elif words[1] == "end":
            scenario.end_ns = _time(words[0])
        elif words[1] == "copy":
            scenario.frames.append(replace(scenario.frames[int(words[2]) - 1], time_ns=_time(words[0])))
        elif words[2] == "!":
            scenario.frames.append(self._complaint(line))
        else:
            scenario.frames.append(self._frame(line))

    def _expect(self, words: list[str], scenario: Scenario) -> None:
        if words[1] == "nothing":
            return
        rule, frames = words[1].split("@")
        numbers = () if frames == "-" else tuple(int(number) for number in frames.split(","))
        scenario.expected.add((rule, numbers, words[2]))

    def _complaint(self, line: str) -> Complaint:
        match = COMPLAINT.fullmatch(line)
        if match is None:
            raise ValueError("not a complaint")
        time, sender, quoted, seq, mtu, length, kind = match.groups()
        seq = (self.isn[quoted] + int(seq)) % 2**32
        return Complaint(_time(time), sender, quoted, seq, kind, int(mtu or 0), int(length or 1500))

    def _frame(self, line: str) -> Frame:
        match = FRAME.fullmatch(line)
        if match is None:
            raise ValueError("not a frame")
        time, sender, letters, first, _, length, rest = match.groups()
        other = "S" if sender == "C" else "C"
        flags = sum(FLAGS[letter] for letter in letters)
        more = _words(rest)
        self.ids[sender] += 1
        ack = (self.isn[other] + int(more["ack"][0])) % 2**32 if "ack" in more else 0
        return Frame(
            time_ns=_time(time),
            sender=sender,
            flags=flags,
            seq=(self.isn[sender] + int(first)) % 2**32,
            length=int(length),
            ack=ack,
            window=int(more.get("win", ["64240"])[0]),
            ip_id=int(more.get("id", [str(self.ids[sender])])[0]),
            port=int(more.get("port", ["4000"])[0]),
            ttl=int(more.get("ttl", ["64"])[0]),
            stamp=(int(more["ts"][0]), int(more["ts"][1])) if "ts" in more else None,
            sack=tuple(
                tuple((self.isn[other] + int(edge)) % 2**32 for edge in block.split(":"))  # type: ignore[misc]
                for block in more.get("sack", [])
            ),
            cut="len-cut" in more,
            scale=int(more.get("scale", ["-1"])[0]),
            checksum=Checksum.BAD if "bad-sum" in more else Checksum.OFFLOAD if "no-sum" in more else Checksum.GOOD,
        )


def _words(rest: str) -> dict[str, list[str]]:
    """ "ack 1 ts 5 6" -> {"ack": ["1"], "ts": ["5", "6"]}."""
    found: dict[str, list[str]] = {}
    key = ""
    for word in rest.split():
        if re.fullmatch(r"[a-z-]+", word):
            key = word
            found[key] = []
        else:
            found[key].append(word)
    return found


def _time(text: str) -> int:
    whole, _, part = text.partition(".")
    return START + int(whole) * SECOND + int((part + "000000000")[:9])
