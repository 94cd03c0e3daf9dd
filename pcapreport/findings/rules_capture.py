"""Manual pages: how far the capture itself can be trusted."""

from __future__ import annotations

from pcapreport.findings.model import Severity
from pcapreport.findings.rule_doc import RuleDoc

NOTE, WARNING, ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR

CAPTURE_RULES: tuple[RuleDoc, ...] = (
    RuleDoc(
        "capture_damaged",
        "Capture file damaged",
        WARNING,
        "The file ends within a packet or holds bytes that are no packet.",
        "What came after the damage is unknown, so connections can look unfinished.",
        "A copy that was cut short, a full disk, a capture program that was killed.",
        "Copy the file again or capture again; what could be read is reported.",
        "None known.",
    ),
    RuleDoc(
        "capture_drops",
        "Packets lost while capturing",
        WARNING,
        "The capturing host itself says that it lost packets.",
        "Gaps in connections may be its own and no fault of the network.",
        "Too much traffic for the host's buffer or disk.",
        "Capture with a filter, a shorter snapshot length or a larger buffer.",
        "Not every format holds the number, and not every program writes it.",
    ),
    RuleDoc(
        "capture_duplicates",
        "Packets captured more than once",
        NOTE,
        "Segments that are equal in every field stand in the capture twice or more, close together.",
        "Counted as sent again they would look like loss; here they are set aside.",
        "A mirror port that copies both ways in and out, several interfaces captured at once, or a network that "
        "duplicates.",
        "Capture on one interface or one direction of the mirror only.",
        "A few copies may come from the network; many come from the capture.",
    ),
    RuleDoc(
        "snaplen_cut",
        "Packets cut short",
        NOTE,
        "The capture keeps only the beginning of each packet.",
        "Headers suffice for everything in this report; the content cannot be inspected.",
        "A snapshot length was chosen, to save space or to protect content.",
        "Nothing, unless the content is needed.",
        "None known.",
    ),
    RuleDoc(
        "time_backwards",
        "Clock steps back",
        NOTE,
        "A packet carries an earlier time than the one before it in the file.",
        "Delays measured across such a place are wrong.",
        "A clock that was set during the capture, or packets from several queues or interfaces merged in the wrong "
        "order.",
        "Sort the capture by time if interfaces were merged; otherwise do not trust delays across the step.",
        "Steps below a millisecond are not reported.",
    ),
    RuleDoc(
        "captured_out_of_order",
        "Captured in the wrong order",
        NOTE,
        "Segments stand in the capture before what they answer, as an ACK before the data it acknowledges; or the "
        "stamps of the frames show that they were written in the wrong order.",
        "Taken as it stands, an answer would be to something else, and data would seem to have been missed. The report "
        "goes by the right order; frames keep their numbers and times, and delays across them are not reliable.",
        "Several queues, interfaces or taps merged into one file, each with a clock or a delay of its own.",
        "Capture through one queue or interface, or merge by time with clocks that agree.",
        "Only how the two directions interleave is put right. What a network may have done, a changed order within one "
        "direction, is left and reported as such unless the stamps of the frames say otherwise.",
    ),
    RuleDoc(
        "starts_midstream",
        "Began before the capture",
        NOTE,
        "The first captured segment of the connection is not its opening.",
        "Which side opened it, its window scale and its first states are unknown.",
        "The capture was started later than the connection.",
        "Start the capture before the connection, if the opening matters.",
        "A connection whose opening was merely dropped looks alike.",
    ),
    RuleDoc(
        "one_sided",
        "Only one direction captured",
        NOTE,
        "The capture holds only one side's segments, though their acknowledgments prove that the other side sent.",
        "The other side's states and losses can only be guessed.",
        "A mirror of one direction, different paths there and back, or a filter on one address.",
        "Capture both directions, best at one of the hosts.",
        "None known.",
    ),
    RuleDoc(
        "bad_checksum",
        "Damaged segments",
        WARNING,
        "The TCP checksum of a segment does not fit its content, though others of the same sender do.",
        "The receiver throws such a segment away without a word; to the sender it is lost and must be sent again.",
        "A faulty network card, cable, memory or middlebox that alters packets; rarely a program that sends raw "
        "packets.",
        "Capture at both ends: where the checksum fits before a hop and not after it, that hop alters packets.",
        "Looked at with --checksums only. A sender of fewer than three captured segments that offloads its checksums "
        "looks the same. Segments that were not captured whole cannot be checked.",
        ("RFC 9293 section 3.1",),
        "tcp.checksum.status",
    ),
    RuleDoc(
        "checksum_offload",
        "Checksums left to the network card",
        NOTE,
        "The checksums of a sender's segments were not filled in yet when they were captured.",
        "They say nothing about damage, and that sender is the host on which the capture was taken, or one behind it "
        "on the same machine.",
        "Checksum offload: the network card fills the checksum in after the capture.",
        "Nothing. To see what goes out on the wire, switch the offload off or capture elsewhere.",
        "Looked at with --checksums only.",
        (),
        "tcp.checksum.status",
    ),
)
