"""Questions on the release, on TIME-WAIT, and on what resets and refuses connections."""

from __future__ import annotations

from collections.abc import Iterator

from pcapreport.findings import time_wait_words
from pcapreport.findings.wording import frames, side_name
from pcapreport.language import Text, counted, phrase, sentences
from pcapreport.report.lab.lesson import Lesson
from pcapreport.report.lab.opening import named
from pcapreport.report.lab.question import Values, question, undecided
from pcapreport.report.lab.release import COMPLETE, VARIANTS, fin_number, kind_of, moment, release_rows, why_so_many
from pcapreport.report.model import LabQuestion
from pcapreport.report.segments import SENDERS
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.history import TimeWait
from pcapreport.tcp.states import State

NO_RELEASE = phrase("no FIN and no RST was captured")
SEGMENTS = {"three-segments": 3, "four-segments": 4, "half-close": 4, "simultaneous": 4}
ATTACKS = ("syn_flood", "port_scan", "reset_by_middlebox", "data_outside_window", "old_duplicate", "icmp_forged")


def on_closing(lesson: Lesson) -> Iterator[LabQuestion]:
    """In the order of the release."""
    yield _first_fin(lesson)
    yield _segments(lesson)
    yield _release_numbers(lesson)
    yield _release_states(lesson)
    yield _time_wait(lesson)
    yield _used_again(lesson)


def on_trouble(lesson: Lesson) -> Iterator[LabQuestion]:
    """Refusals, resets, half-open connections, attacks."""
    yield _refused(lesson)
    yield _reset(lesson)
    yield _half_open(lesson)
    yield _attacks(lesson)


def _first_fin(lesson: Lesson) -> LabQuestion:
    text = phrase("Which side closes first, and how: by FIN or by RST?")
    how = phrase("The first segment with FIN or RST in the flags (tcp.flags.fin == 1 or tcp.flags.reset == 1).")
    marks = lesson.landmarks
    rows = [row for row in (marks.fin, marks.reset) if row is not None]
    if not rows:
        return question("first_to_close", "closing", text, [undecided(NO_RELEASE)], how, decided=False)
    row = min(rows)
    side, flags = int(lesson.rows.side[row]), lesson.row(row).words
    answer = phrase(
        "The {side}, in frame {frame} ({flags}).", side=side_name(side), frame=lesson.frame(row), flags=flags
    )
    values: Values = {"side": SENDERS[side], "frame": lesson.frame(row)}
    return question("first_to_close", "closing", text, [answer], how, [lesson.frame(row)], values)


def _segments(lesson: Lesson) -> LabQuestion:
    text = phrase(
        "Does the release take four segments or three? Is it half-closed, simultaneous or cut off by a reset? Why?"
    )
    how = phrase(
        "Look for the first segment that acknowledges the first FIN: an ACK of its own makes four, the other "
        "side's FIN "
        "makes three."
    )
    kind = kind_of(lesson)
    if kind == "open":
        return question("release_segments", "closing", text, [undecided(NO_RELEASE)], how, decided=False)
    answers: list[Text] = [VARIANTS[kind]]
    if kind in ("three-segments", "four-segments", "half-close"):
        answers.append(why_so_many(lesson, kind))
    numbers = [lesson.frame(row) for row in sorted(release_rows(lesson))]
    values: Values = {"variant": kind, "segments": SEGMENTS.get(kind)}
    return question("release_segments", "closing", text, answers, how, numbers, values)


def _release_numbers(lesson: Lesson) -> LabQuestion:
    text = phrase("Which sequence and acknowledgment numbers do the segments of the release have?")
    how = phrase("A FIN takes one sequence number behind the last byte of data, so its acknowledgment is one more.")
    rows = sorted(release_rows(lesson))
    if not rows:
        return question("release_numbers", "closing", text, [undecided(NO_RELEASE)], how, decided=False)
    answers: list[Text] = []
    values: Values = {}
    for number, row in enumerate(rows, 1):
        one = lesson.row(row)
        seq = fin_number(lesson, row) if "FIN" in one.words else one.raw_seq
        relative = one.end - 1 if "FIN" in one.words else one.seq
        values[f"seq_{number}"] = seq
        parts = {"frame": one.frame, "flags": one.words, "side": side_name(one.side), "seq": seq, "relative": relative}
        if one.ack is None:
            answers.append(
                phrase("Frame {frame} ({flags} of the {side}): seq = {seq} (relative {relative}), no ack.", **parts)
            )
        else:
            values[f"ack_{number}"] = one.raw_ack
            answers.append(
                phrase(
                    "Frame {frame} ({flags} of the {side}): seq = {seq} (relative {relative}), ack = {ack} (relative "
                    "{acked}).",
                    ack=one.raw_ack,
                    acked=one.ack,
                    **parts,
                )
            )
    return question("release_numbers", "closing", text, answers, how, [lesson.frame(row) for row in rows], values)


def _release_states(lesson: Lesson) -> LabQuestion:
    text = phrase("Through which states does each side go when the connection is released?")
    how = phrase(
        "By the state diagram of RFC 9293; each state is dated and its certainty told in the tables of states."
    )
    rows = sorted(release_rows(lesson))
    if not rows:
        return question("release_states", "closing", text, [undecided(NO_RELEASE)], how, decided=False)
    answers: list[Text] = []
    values: Values = {}
    for side in (CLIENT, SERVER):
        states = [str(item.state) for item in lesson.end(side).transitions]
        since = states.index(State.ESTABLISHED) if State.ESTABLISHED in states else 0
        way = " > ".join(states[since:])
        values[SENDERS[side]] = way
        answers.append(phrase("The {side}: {states}.", side=side_name(side), states=named(way)))
    return question("release_states", "closing", text, answers, how, [lesson.frame(row) for row in rows], values)


def _time_wait(lesson: Lesson) -> LabQuestion:
    text = phrase(
        "Which side is in TIME-WAIT, from when to when? Did a repeated FIN start it anew? Is the capture long enough?"
    )
    how = phrase(
        "The side that closed first enters it with the last ACK. Nothing is sent when it ends, so its end is "
        "computed: RFC "
        "9293 asks for 2 x 2 min, Linux takes 60 s and up to 2.05 s more, by the steps of its timer."
    )
    waits = [(side, wait) for side in (CLIENT, SERVER) if (wait := lesson.end(side).time_wait) is not None]
    if not waits:
        answer, decided = _no_time_wait(lesson)
        rows = [lesson.frame(row) for row in sorted(release_rows(lesson))]
        values: Values = {"owner": "none"} if decided else {}
        return question("time_wait", "closing", text, [answer], how, rows, values, decided=decided)
    answers: list[Text] = []
    numbers = [lesson.frame(row) for row in sorted(release_rows(lesson))]
    values = {"owner": " and ".join(SENDERS[side] for side, _ in waits)}
    for side, wait in waits:
        answers += _waits(lesson, side, wait)
        numbers += [restart.frame for restart in wait.restarts]
        values |= {
            f"{SENDERS[side]}_two_msl_s": wait.two_msl / SECOND,
            f"{SENDERS[side]}_ended_by": wait.ended_by,
        }
    decided = all(wait.ended_by != "capture-end" for _, wait in waits)
    return question("time_wait", "closing", text, answers, how, numbers, values, 0.05, decided)


def _no_time_wait(lesson: Lesson) -> tuple[Text, bool]:
    kind = kind_of(lesson)
    if kind.startswith("reset") or kind == "refused":
        return phrase("Neither: a reset ends a connection without TIME-WAIT."), True
    if kind in COMPLETE:
        return undecided(phrase("what it shows of the release does not tell who entered it")), False
    return undecided(phrase("it does not show the whole release")), False


def _waits(lesson: Lesson, side: int, wait: TimeWait) -> Iterator[Text]:
    yield phrase(
        "The {side} entered TIME-WAIT between {earliest} and {latest}.",
        side=side_name(side),
        earliest=moment(lesson, wait.entered[0]),
        latest=moment(lesson, wait.entered[1]),
    )
    if wait.restarts:
        yield counted(
            len(wait.restarts),
            "It was started anew once ({frames}).",
            "It was started anew {n:,} times ({frames}).",
            frames=frames([restart.frame for restart in wait.restarts]),
        )
    else:
        yield phrase("Nothing started it anew.")
    expires = {
        "two_msl": wait.two_msl / SECOND,
        "profile": wait.profile,
        "since": moment(lesson, wait.expires[0]),
        "until": moment(lesson, wait.expires[1]),
    }
    form = phrase("With 2MSL = {two_msl:g} s (profile {profile}) it runs out between {since} and {until}.", **expires)
    ends = moment(lesson, lesson.evidence.capture.last_ns)
    endings = {
        "expiry": phrase("The capture goes on until {end}, which is long enough.", end=ends),
        "capture-end": phrase(
            "The capture ends at {end}: whether it lasted so long cannot be decided from it.", end=ends
        ),
        "reset": phrase("A reset ended it early, at {at}.", at=moment(lesson, wait.ended_at)),
        "reuse": phrase(
            "A new connection on the same ports ended it early, at {at}.", at=moment(lesson, wait.ended_at)
        ),
    }
    yield sentences(form, endings[wait.ended_by])


def _used_again(lesson: Lesson) -> LabQuestion:
    text = phrase("Were the same addresses and ports used again within 2MSL? Was a SYN in TIME-WAIT answered, and how?")
    how = phrase(
        "Look for a later SYN with the same addresses and ports; RFC 9293 section 3.6.1 and RFC 6191 say when it "
        "is taken."
    )
    waits = [wait for side in (CLIENT, SERVER) if (wait := lesson.end(side).time_wait) is not None]
    if not waits:
        why = phrase("neither side is seen in TIME-WAIT")
        return question("ports_used_again", "closing", text, [undecided(why)], how, decided=False)
    syns = [syn for wait in waits for syn in wait.later_syns]
    if not syns:
        end = moment(lesson, lesson.evidence.capture.last_ns)
        answer = phrase("No: until the capture ends at {end} no SYN came on the same addresses and ports.", end=end)
        return question("ports_used_again", "closing", text, [answer], how, values={"count": 0})
    answers = [
        phrase(
            "The SYN in frame {frame} at {at}: {told}.",
            frame=syn.frame,
            at=moment(lesson, syn.at),
            told=time_wait_words.told(syn),
        )
        for syn in syns[:6]
    ]
    return question(
        "ports_used_again", "closing", text, answers, how, [syn.frame for syn in syns], {"count": len(syns)}
    )


def _refused(lesson: Lesson) -> LabQuestion:
    text = phrase("How is a SYN to a closed port answered? Which numbers does the answer have?")
    how = phrase(
        "RST, ACK with sequence number 0 and the SYN's number plus one as acknowledgment (RFC 9293 section 3.5.2)."
    )
    row = lesson.landmarks.refusal
    if row is None:
        why = phrase("this connection was not refused")
        return question("refusal", "trouble", text, [undecided(why)], how, decided=False)
    one = lesson.row(row)
    answer = phrase(
        "Frame {frame}: {flags}, seq = {seq}, ack = {ack}.",
        frame=one.frame,
        flags=one.words,
        seq=one.raw_seq,
        ack=one.raw_ack,
    )
    values: Values = {"frame": one.frame, "seq": one.raw_seq, "ack": one.raw_ack}
    return question("refusal", "trouble", text, [answer], how, [one.frame], values)


def _reset(lesson: Lesson) -> LabQuestion:
    text = phrase("Is there a RST in an open connection? Which side sends it, with an acceptable number, and why?")
    how = phrase("A RST counts only if its number is the next one expected (RFC 9293 section 3.10.7.4, RFC 5961).")
    row = lesson.landmarks.reset
    if row is None:
        answer = phrase("No RST was captured in this connection.")
        return question("reset", "trouble", text, [answer], how, values={"count": 0})
    told = [one.summary for one in lesson.findings if lesson.frame(row) in one.frames and "reset" in one.rule]
    one = lesson.row(row)
    answers: list[Text] = [
        phrase(
            "Frame {frame} of the {side}: seq = {seq} (relative {relative}).",
            frame=one.frame,
            side=side_name(one.side),
            seq=one.raw_seq,
            relative=one.seq,
        )
    ]
    answers += [text for text in told if isinstance(text, Text)]
    values: Values = {"side": SENDERS[one.side], "frame": one.frame}
    return question("reset", "trouble", text, answers, how, [one.frame], values)


def _half_open(lesson: Lesson) -> LabQuestion:
    text = phrase("Is there a half-open connection: one side that knows the connection, and one that has forgotten it?")
    how = phrase(
        "The side that has forgotten it answers a segment with RST, or a SYN is answered by an ACK with old numbers."
    )
    rules = ("half_open_connection", "time_wait_collision", "reset_by_forgetful_host")
    found = [one for one in lesson.findings if one.rule in rules]
    if not found:
        answer = phrase("Nothing in this connection shows one.")
        return question("half_open", "trouble", text, [answer], how, values={"count": 0})
    answers = [one.summary for one in found if isinstance(one.summary, Text)]
    return question("half_open", "trouble", text, answers, how, lesson.frames_of(*rules), {"count": len(found)})


def _attacks(lesson: Lesson) -> LabQuestion:
    text = phrase("Are there signs of an attack: a SYN flood, a forged RST, data that is injected, a scan?")
    how = phrase(
        "Many SYNs that nobody completes; a RST or data whose TTL or IP ID is not its sender's; numbers outside "
        "the window; "
        "acknowledgments that answer each other."
    )
    found = [one for one in lesson.findings if one.rule in ATTACKS]
    if not found:
        answer = phrase("None in this connection; what concerns the whole capture stands in the full report.")
        return question("attacks", "trouble", text, [answer], how, values={"count": 0})
    answers = [one.summary for one in found if isinstance(one.summary, Text)]
    return question("attacks", "trouble", text, answers, how, lesson.frames_of(*ATTACKS), {"count": len(found)})
