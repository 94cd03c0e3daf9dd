"""Questions on addresses, ports, sequence numbers and the three-way handshake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pcapreport.capture.frames import Frame
from pcapreport.capture.packet_table import Option
from pcapreport.findings.wording import address, side_name
from pcapreport.language import Text, joined, phrase
from pcapreport.report.lab.header import hardware_addresses
from pcapreport.report.lab.lesson import Lesson
from pcapreport.report.lab.opening import named, offers, opening_rows
from pcapreport.report.lab.ports import port_class
from pcapreport.report.lab.question import Values, question, undecided
from pcapreport.report.model import LabQuestion
from pcapreport.report.segments import SENDERS
from pcapreport.tcp.connections import CLIENT, SERVER

LATE = phrase("the capture begins after the handshake")


def on_opening(lesson: Lesson, taken: Mapping[int, Frame]) -> Iterator[LabQuestion]:
    """In the order of the handshake."""
    yield _endpoints(lesson)
    yield _hardware(lesson, taken)
    yield _initial_numbers(lesson)
    yield _syn_ack(lesson)
    yield _offers(lesson)
    yield _third(lesson)
    yield _states(lesson)
    yield _header(lesson)


def _endpoints(lesson: Lesson) -> LabQuestion:
    answers = [
        phrase(
            "The {side} is {address}; port {port} is {kind}.",
            side=side_name(side),
            address=address(end),
            port=end.port,
            kind=port_class(end.port),
        )
        for side, end in enumerate(lesson.ends)
    ]
    client, server = lesson.ends
    return question(
        "endpoints",
        "opening",
        phrase("Which IP addresses and ports do client and server use? How are these ports classed?"),
        answers,
        phrase("The client is the side that sends the SYN; addresses stand in the IP header, ports in the TCP header."),
        [lesson.frame(0)],
        {
            "client_address": client.address,
            "client_port": client.port,
            "server_address": server.address,
            "server_port": server.port,
        },
    )


def _hardware(lesson: Lesson, taken: Mapping[int, Frame]) -> LabQuestion:
    text = phrase("Which MAC addresses does the first segment carry? Do they belong to client and server?")
    how = phrase("They are the first twelve bytes of an Ethernet frame: destination, then source.")
    frames = lesson.evidence.capture.frames
    found = hardware_addresses(taken.get(lesson.frame(0)), frames.pseudonyms if frames else None)
    if found is None:
        why = phrase("its frames have no Ethernet header")
        return question("mac_addresses", "opening", text, [undecided(why)], how, [lesson.frame(0)], decided=False)
    answers = [
        phrase("Source {source}, destination {destination}.", source=found[0], destination=found[1]),
        phrase("They are those of the two ends of this one link: of a router, where an end is in another network."),
    ]
    values: Values = {"source": found[0], "destination": found[1]}
    return question("mac_addresses", "opening", text, answers, how, [lesson.frame(0)], values)


def _initial_numbers(lesson: Lesson) -> LabQuestion:
    text = phrase("What are the initial sequence numbers of both sides, raw and relative? Which flag marks the SYN?")
    how = phrase("Raw numbers stand in the SYN and the SYN, ACK; Wireshark shows them relative to these, so as 0.")
    rows = [offers(lesson, side) for side in (CLIENT, SERVER)]
    answers = [
        phrase("The {side}: raw {raw}, relative 0.", side=side_name(side), raw=lesson.row(row).raw_seq)
        if row is not None
        else undecided(phrase("no SYN of the {side} was captured", side=side_name(side)))
        for side, row in enumerate(rows)
    ]
    answers.append(phrase("SYN is the bit 0x002 of the flags; the first segment has flags 0x002, the second 0x012."))
    known = [row for row in rows if row is not None]
    numbers = [None if row is None else lesson.row(row).raw_seq for row in rows]
    return question(
        "initial_sequence_numbers",
        "opening",
        text,
        answers,
        how,
        [lesson.frame(row) for row in known],
        {"client_isn": numbers[0], "server_isn": numbers[1]},
        decided=len(known) == 2,
    )


def _syn_ack(lesson: Lesson) -> LabQuestion:
    text = phrase("Which sequence and acknowledgment numbers does the SYN, ACK have, and why this acknowledgment?")
    how = phrase("In the second segment of the handshake, flags 0x012.")
    row = lesson.landmarks.syn_ack
    if row is None:
        why = phrase("no SYN, ACK was captured")
        return question("syn_ack", "opening", text, [undecided(why)], how, decided=False)
    one = lesson.row(row)
    answers = [
        phrase(
            "seq = {seq} (relative 0), ack = {ack} (relative {relative}).",
            seq=one.raw_seq,
            ack=one.raw_ack,
            relative=one.ack,
        ),
        phrase("The SYN takes one sequence number, as if it were a byte of data; the next one expected is ISN + 1."),
    ]
    if one.ack is not None and one.ack > 1:
        answers[1] = phrase(
            "It acknowledges the SYN, which takes one number, and {n:,} bytes of data sent with it.", n=one.ack - 1
        )
    values: Values = {"seq": one.raw_seq, "ack": one.raw_ack, "flags": "0x012"}
    return question("syn_ack", "opening", text, answers, how, [lesson.frame(row)], values)


def _offers(lesson: Lesson) -> LabQuestion:
    text = phrase("Which options does each side offer: MSS, window scale, SACK, timestamps?")
    how = phrase(
        "They stand behind the fixed header of the SYN and the SYN, ACK. Scaling, SACK and timestamps need both sides."
    )
    rows = [offers(lesson, side) for side in (CLIENT, SERVER)]
    answers: list[Text] = []
    values: Values = {}
    for side, row in enumerate(rows):
        if row is None:
            answers.append(undecided(phrase("no SYN of the {side} was captured", side=side_name(side))))
            continue
        told, numbers = _offered(lesson, row)
        answers.append(phrase("The {side}: {options}.", side=side_name(side), options=joined(told, "; ")))
        values |= {f"{SENDERS[side]}_{name}": number for name, number in numbers.items()}
    frames = [lesson.frame(row) for row in rows if row is not None]
    return question("options", "opening", text, answers, how, frames, values, decided=len(frames) == 2)


def _offered(lesson: Lesson, row: int) -> tuple[list[str], dict[str, int]]:
    packets, at = lesson.rows.packets, lesson.rows.packet[row]
    present = int(packets["options"][at])
    mss, shift = int(packets["mss"][at]), int(packets["window_scale"][at])
    numbers = {}
    told: list[str] = []
    if present & Option.MSS:
        numbers["mss"] = mss
        told.append(phrase("MSS {mss:,} bytes", mss=mss))
    else:
        told.append(phrase("no MSS, so 536 bytes are assumed (RFC 9293 section 3.7.1)"))
    if present & Option.WINDOW_SCALE:
        numbers["window_scale"] = shift
        told.append(phrase("window scale {shift}, a factor of {factor:,}", shift=shift, factor=1 << min(shift, 14)))
    else:
        told.append(phrase("no window scale"))
    told.append(phrase("SACK permitted") if present & Option.SACK_PERMITTED else phrase("no SACK"))
    told.append(phrase("timestamps") if present & Option.TIMESTAMP else phrase("no timestamps"))
    return told, numbers


def _third(lesson: Lesson) -> LabQuestion:
    text = phrase("Which numbers does the third segment have? Does it carry data?")
    how = phrase("It is the client's first segment that acknowledges the server's SYN.")
    row = lesson.landmarks.third
    if row is None:
        why = phrase("no third segment of a handshake was captured")
        return question("third_segment", "opening", text, [undecided(why)], how, decided=False)
    one = lesson.row(row)
    data = phrase("It carries {n:,} bytes of data.", n=one.length) if one.length else phrase("It carries no data.")
    answers = [
        phrase(
            "seq = {seq} (relative {relative}), ack = {ack} (relative {acked}).",
            seq=one.raw_seq,
            relative=one.seq,
            ack=one.raw_ack,
            acked=one.ack,
        ),
        data,
    ]
    values: Values = {"seq": one.raw_seq, "ack": one.raw_ack, "length": one.length}
    return question("third_segment", "opening", text, answers, how, [lesson.frame(row)], values)


def _states(lesson: Lesson) -> LabQuestion:
    text = phrase("In which state is each side after each segment of the handshake?")
    how = phrase("By the state diagram of RFC 9293: a state is entered by sending or by what arrives.")
    rows = sorted(opening_rows(lesson))
    if not rows:
        return question("handshake_states", "opening", text, [undecided(LATE)], how, decided=False)
    answers: list[Text] = []
    values: Values = {}
    for number, row in enumerate(rows, 1):
        client, server = lesson.states(row)
        values |= {f"client_after_{number}": str(client), f"server_after_{number}": str(server)}
        answers.append(
            phrase(
                "After frame {frame} ({flags}): client {client}, server {server}.",
                frame=lesson.frame(row),
                flags=lesson.row(row).words,
                client=named(client),
                server=named(server),
            )
        )
    return question("handshake_states", "opening", text, answers, how, [lesson.frame(row) for row in rows], values)


def _header(lesson: Lesson) -> LabQuestion:
    text = phrase("Which fields does the TCP header of the first segment have: name, bits, value, meaning?")
    how = phrase("The table of this segment above goes through them in the order of the header.")
    row = lesson.row(0)
    form = phrase(
        "Frame {frame}: sequence number {seq}, flags {flags} (0x{bits:03x}), window {window}; the others are in "
        "the table.",
        frame=row.frame,
        seq=row.raw_seq,
        flags=row.words,
        bits=row.flags,
        window=int(lesson.rows.packets["window"][lesson.rows.packet[0]]),
    )
    values: Values = {"seq": row.raw_seq, "flags": f"0x{row.flags & 0x1FF:03x}"}
    return question("header_fields", "opening", text, [form], how, [row.frame], values)
