"""Questions on the data: round trips, lengths, window, retransmissions, acknowledgments, throughput, slow start."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from pcapreport.capture.frames import Frame
from pcapreport.findings.wording import duration, frames, side_name
from pcapreport.language import Text, counted, joined, phrase
from pcapreport.report.lab.lesson import Lesson
from pcapreport.report.lab.question import Values, question, undecided
from pcapreport.report.lab.release import NEAR_NS
from pcapreport.report.lab.slow_start import rounds
from pcapreport.report.lab.transfer import acknowledgments, first_and_repeated, least_window, sending_side
from pcapreport.report.model import RETRANSMISSION_RULES, LabQuestion, LabTransfer
from pcapreport.report.segments import SENDERS
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.vantage import UNKNOWN_NS

NO_DATA = phrase("no data was captured")
CAUSES = {
    "retransmission": phrase("after a timeout, as far as can be told"),
    "fast_retransmission": phrase("after duplicate acknowledgments, before the timeout"),
    "spurious_retransmission": phrase("though it had arrived"),
    "tail_loss_probe": phrase("as a probe for the loss of the last segments"),
    "syn_retransmission": phrase("the SYN, after a timeout"),
    "syn_ack_retransmission": phrase("the SYN, ACK, after a timeout"),
    "fin_retransmission": phrase("the FIN, after a timeout"),
}
_REQUESTS = re.compile(rb"(GET|POST|HEAD|PUT|DELETE|OPTIONS|PATCH) \S+ HTTP/1\.[01]\r?\n|(HTTP/1\.[01]) \d{3} ")
"""Only these words are ever told of a payload, never its bytes."""


def _beside(lesson: Lesson, sender: int) -> list[Text]:
    """What the tap's place means for round trips of a sender's data; nothing at its own host."""
    vantage = lesson.evidence.vantages.of(lesson.connection)
    nearer = vantage.round_trip[sender]
    if nearer == UNKNOWN_NS or nearer < NEAR_NS:
        return []
    return [
        phrase(
            "These are times at the tap, from it to the {other} and back; the round trips of the {side} itself "
            "take about "
            "{more} longer, the way between it and the tap.",
            other=side_name(1 - sender),
            side=side_name(sender),
            more=duration(nearer),
        )
    ]


def on_data(lesson: Lesson, moved: LabTransfer | None, taken: Mapping[int, Frame]) -> Iterator[LabQuestion]:
    """In the order of the usual sheet."""
    yield _first(lesson, taken)
    yield _round_trips(lesson, moved)
    yield _lengths(moved)
    yield _window(lesson)
    yield _retransmissions(lesson)
    yield _acknowledgments(lesson, moved)
    yield _throughput(lesson, moved)
    yield _slow_start(lesson)


def _first(lesson: Lesson, taken: Mapping[int, Frame]) -> LabQuestion:
    text = phrase("Which segment carries the first data, and with which sequence number? What kind of message is it?")
    how = phrase("The first segment with a length above 0; its payload is only compared with known beginnings.")
    rows = sorted(int(data[0]) for side in (CLIENT, SERVER) if len(data := lesson.carrying(side)))
    if not rows:
        return question("first_data", "data", text, [undecided(NO_DATA)], how, decided=False)
    row = lesson.row(rows[0])
    answers = [
        phrase(
            "Frame {frame} of the {side}: relative sequence number {seq} (raw {raw}), {length:,} bytes.",
            frame=row.frame,
            side=side_name(row.side),
            seq=row.seq,
            raw=row.raw_seq,
            length=row.length,
        ),
        _kind(taken.get(row.frame)),
    ]
    values: Values = {"frame": row.frame, "seq": row.seq, "raw_seq": row.raw_seq, "length": row.length}
    return question("first_data", "data", text, answers, how, [row.frame], values)


def _kind(frame: Frame | None) -> Text:
    found = _REQUESTS.search(frame.data) if frame else None
    if found is None:
        return phrase("It begins like no message that is known here (HTTP/1).")
    if found[1]:
        return phrase("It begins an HTTP request: {method}.", method=found[1].decode("ascii"))
    return phrase("It begins an HTTP answer.")


def _round_trips(lesson: Lesson, moved: LabTransfer | None) -> LabQuestion:
    text = phrase(
        "Of the first six data segments of the side that sent more: when was each sent and acknowledged, what is "
        "its SampleRTT, and what is the "
        "EstimatedRTT after it (alpha = 1/8)?"
    )
    how = phrase(
        "The acknowledgment of a segment is the first one that covers its last byte. EstimatedRTT begins with "
        "the first "
        "sample; then it is 7/8 of itself and 1/8 of the sample. What was sent again gives no sample."
    )
    if moved is None:
        return question("round_trips", "data", text, [undecided(NO_DATA)], how, decided=False)
    told = [one for one in moved.samples if one.sample_rtt_s is not None and one.estimated_rtt_s is not None]
    if not told:
        why = phrase("none of them was acknowledged without being sent again")
        return question("round_trips", "data", text, [undecided(why)], how, decided=False)
    answers = [
        phrase(
            "Frame {frame} at {sent:.6f} s, acknowledged by frame {ack} at {acked:.6f} s: SampleRTT {sample}, then "
            "EstimatedRTT {estimated}.",
            frame=one.frame,
            sent=one.sent_s,
            ack=one.ack_frame,
            acked=one.acked_s,
            sample=duration((one.sample_rtt_s or 0) * SECOND),
            estimated=duration((one.estimated_rtt_s or 0) * SECOND),
        )
        for one in told
    ]
    answers += _beside(lesson, sending_side(lesson) or CLIENT)
    values: Values = {f"sample_rtt_s_{one.frame}": one.sample_rtt_s for one in told}
    values |= {f"estimated_rtt_s_{one.frame}": one.estimated_rtt_s for one in told}
    numbers = [number for one in moved.samples for number in (one.frame, one.ack_frame)]
    return question("round_trips", "data", text, answers, how, numbers, values, 0.01)


def _lengths(moved: LabTransfer | None) -> LabQuestion:
    text = phrase(
        "How long are the first six data segments of the side that sent more? How does the usual length compare "
        "with the MSS?"
    )
    how = phrase("Lengths are those of the payload. Segments above the MSS are put together by a host's network card.")
    if moved is None:
        return question("lengths", "data", text, [undecided(NO_DATA)], how, decided=False)
    lengths = joined([f"{one.length:,}" for one in moved.samples])
    mss = phrase("not captured") if moved.mss is None else phrase("{mss:,} bytes", mss=moved.mss)
    answers = [
        phrase("{lengths} bytes.", lengths=lengths),
        phrase(
            "The most frequent length of all {n:,} is {length:,} bytes; the MSS that the receiver offered: {mss}.",
            n=moved.segments,
            length=moved.typical_length,
            mss=mss,
        ),
    ]
    values: Values = {"lengths": str(lengths), "typical_length": moved.typical_length, "mss": moved.mss}
    return question("lengths", "data", text, answers, how, [one.frame for one in moved.samples], values)


def _window(lesson: Lesson) -> LabQuestion:
    text = phrase(
        "What is the smallest receive window that each side advertised after its SYN, in bytes after scaling? Did "
        "it ever stop the sender?"
    )
    how = phrase(
        "The window field of each segment but SYN and RST, times 2 to the power of the window scale of the same "
        "side's SYN."
    )
    answers: list[Text] = []
    values: Values = {}
    named: list[int | None] = []
    for side in (CLIENT, SERVER):
        least, frame = least_window(lesson, side)
        if least is None or frame is None:
            why = phrase(
                "the window scale of the {side} is not known, or no window of its was captured", side=side_name(side)
            )
            answers.append(undecided(why))
            continue
        row = lesson.row(int(np.flatnonzero(lesson.rows.frame == frame)[0]))
        scale = lesson.rows.scales[side] or 0
        answers.append(
            phrase(
                "The {side}: {least:,} bytes, first in frame {frame} ({raw:,} x 2^{scale}).",
                side=side_name(side),
                least=least,
                frame=frame,
                raw=row.window >> scale,
                scale=scale,
            )
        )
        values[f"{SENDERS[side]}_least_window"] = least
        named.append(frame)
    closed = lesson.frames_of("zero_window", "window_full")
    answers.append(
        phrase("The window stopped the sender: it was closed or full ({frames}).", frames=frames(closed))
        if closed
        else phrase("No window was closed and none was filled, so it never stopped the sender.")
    )
    return question("least_window", "data", text, answers, how, [*named, *closed], values, decided=bool(values))


def _retransmissions(lesson: Lesson) -> LabQuestion:
    text = phrase("Which segments were sent again? How can that be told, and what was the cause of each?")
    how = phrase(
        "The same side sends numbers again that it has sent before, and the frame is no second copy of one frame."
    )
    by_rule = {rule: found for rule in sorted(RETRANSMISSION_RULES) if (found := lesson.frames_of(rule))}
    if not by_rule:
        answer = phrase("None: no sequence number was sent twice in this connection.")
        return question("retransmissions", "data", text, [answer], how, values={"count": 0})
    answers = [
        counted(
            len(found),
            "{n} segment {cause}: {frames}.",
            "{n:,} segments {cause}: {frames}.",
            cause=CAUSES[rule],
            frames=frames(found, 12),
        )
        for rule, found in by_rule.items()
    ]
    numbers = sorted({frame for found in by_rule.values() for frame in found})
    return question("retransmissions", "data", text, answers, how, numbers, {"count": len(numbers)})


def _acknowledgments(lesson: Lesson, moved: LabTransfer | None) -> LabQuestion:
    text = phrase(
        "How much data does an acknowledgment of the side that sent less usually cover? Is it every second segment?"
    )
    how = phrase(
        "Each acknowledgment is compared with the one before; the segments whose last byte it newly covers are counted."
    )
    side = sending_side(lesson)
    if moved is None or side is None or not moved.acknowledgments:
        why = NO_DATA if moved is None else phrase("no acknowledgment of data was captured")
        return question("acknowledgments", "data", text, [undecided(why)], how, decided=False)
    acks = acknowledgments(lesson, side, *first_and_repeated(lesson, side))
    answers = [
        phrase(
            "Of {n:,} acknowledgments {one:,} cover one segment, {two:,} cover two, {more:,} cover more; most often "
            "{bytes:,} bytes.",
            n=moved.acknowledgments,
            one=moved.covered["1"],
            two=moved.covered["2"],
            more=moved.covered["more"],
            bytes=moved.typical_acknowledged,
        ),
        counted(moved.duplicate_acks, "{n} duplicate acknowledgment.", "{n:,} duplicate acknowledgments."),
    ]
    if len(acks.delays_ns):
        answers.append(
            phrase(
                "They follow the last segment that they cover, where that was sent once, after {median} in the median, "
                "{longest} at most, as seen at the tap.",
                median=duration(float(np.median(acks.delays_ns))),
                longest=duration(int(acks.delays_ns.max())),
            )
        )
    values: Values = {"one": moved.covered["1"], "two": moved.covered["2"], "more": moved.covered["more"]}
    return question("acknowledgments", "data", text, answers, how, lesson.rows.frame[acks.rows[:12]].tolist(), values)


def _throughput(lesson: Lesson, moved: LabTransfer | None) -> LabQuestion:
    text = phrase("What is the throughput of the side that sent more? Say which interval you chose.")
    how = phrase("Payload bytes, each counted once, divided by the time; headers and repetitions are left out.")
    if moved is None or moved.throughput is None or moved.last_ack_s is None:
        why = NO_DATA if moved is None else phrase("no acknowledgment of the data was captured, or it took no time")
        return question("throughput", "data", text, [undecided(why)], how, decided=False)
    rows = lesson.rows
    whole = (int(rows.time_ns.max()) - int(rows.time_ns.min())) / SECOND
    answers = [
        phrase(
            "{bytes:,} bytes of the {side} from its first data segment ({first:.6f} s) to the last "
            "acknowledgment of new "
            "data ({last:.6f} s): {rate:,.0f} bytes/s.",
            bytes=moved.bytes,
            side=phrase(moved.sender),
            first=moved.first_s,
            last=moved.last_ack_s,
            rate=moved.throughput,
        )
    ]
    if whole > 0:
        answers.append(
            phrase(
                "Over the whole connection, opening and release included ({time:.6f} s): {rate:,.0f} bytes/s.",
                time=whole,
                rate=moved.bytes / whole,
            )
        )
    values: Values = {"bytes": moved.bytes, "bytes_per_second": moved.throughput}
    return question("throughput", "data", text, answers, how, [one.frame for one in moved.samples[:1]], values, 0.05)


def _slow_start(lesson: Lesson) -> LabQuestion:
    text = phrase("Where does slow start begin and end, and where does congestion avoidance take over?")
    how = phrase(
        "Inferred from the bytes in flight at the tap, round trip by round trip: in slow start they double. The "
        "congestion "
        "window itself stands in no segment."
    )
    found = rounds(lesson)
    if found is None:
        why = phrase("the data takes too few round trips to show the congestion window grow")
        return question("slow_start", "data", text, [undecided(why)], how, decided=False)
    peaks = joined([f"{peak:,}" for peak in found.peaks[:12]])
    answers = [
        phrase("Most bytes in flight, by round trips of {rtt}: {peaks}.", rtt=duration(found.rtt_ns), peaks=peaks),
    ]
    if found.ended is None:
        answers.append(phrase("They grow as in slow start to the end; congestion avoidance is not seen."))
    else:
        answers.append(
            phrase(
                "Slow start, as inferred, begins with frame {first} and ends about {time:.6f} s, after {n} round "
                "trips; what "
                "follows is congestion avoidance, or a limit of the window or of the application.",
                first=found.first_frame,
                time=lesson.clock.seconds(found.ended),
                n=found.doubled,
            )
        )
    return question("slow_start", "data", text, answers, how, [found.first_frame])
