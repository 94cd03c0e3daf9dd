"""Manual pages: what no endpoint that keeps the rules sends."""

from __future__ import annotations

from pcapreport.findings.model import Severity
from pcapreport.findings.rule_doc import RuleDoc

NOTE, WARNING = Severity.NOTE, Severity.WARNING

CONFORMANCE_RULES: tuple[RuleDoc, ...] = (
    RuleDoc(
        "window_shrunk",
        "Receive window taken back",
        NOTE,
        "The right edge of an advertised window (acknowledgment number plus window) moved left by more than the "
        "window scale's rounding.",
        "Data sent in good faith may fall outside the window and be dropped; the sender must send it again.",
        "A receiver short of buffer memory, a program that made its receive buffer smaller, or a device that shapes "
        "traffic by rewriting windows.",
        "Look at memory pressure and buffer settings of that host, then for traffic shapers on the path.",
        "Judged only on segments that were surely sent later, and where both SYNs were captured.",
        ("RFC 9293 section 3.8.6", "RFC 7323 section 2.4"),
    ),
    RuleDoc(
        "data_outside_window",
        "Data beyond the window",
        WARNING,
        "Data was sent beyond the highest right edge of any window that passed the tap before.",
        "The receiver may drop it, and then it is sent again.",
        "A window scale that one end or a device lost sight of, a faulty sender, a window rewritten on the path.",
        "Compare the window scale options of both SYNs at both ends.",
        "A window update that the capture missed gives the same picture. One byte beyond is a probe and not counted.",
        ("RFC 9293 section 3.8.6",),
    ),
    RuleDoc(
        "silly_window",
        "Silly window",
        WARNING,
        "The receiver opened its window a few bytes at a time, and small segments filled it again and again.",
        "Most of what is sent is headers: the transfer is slow and loads hosts and network.",
        "A receiving program that reads in small pieces, on a system that does not hold back small window updates.",
        "Make the receiver read in larger pieces, or give it a larger receive buffer.",
        "Told only from ten such segments on, and where both SYNs were captured.",
        ("RFC 9293 section 3.8.6.2", "RFC 1122 section 4.2.3.3"),
    ),
    RuleDoc(
        "window_full",
        "Sender held up by a full window",
        NOTE,
        "A sender filled the receive window to its edge and could go on only after more room was offered.",
        "The receiver's reading, or the size of its window against the path's delay, sets the pace of the transfer.",
        "A receiving program that reads slowly, a small receive buffer, a long path without window scaling.",
        "Look at the receiving program; compare the window with bandwidth times round trip.",
        "Told only where the waits add up to more than a timeout, and where both SYNs were captured.",
        ("RFC 9293 section 3.8.6", "RFC 7323 section 1.1"),
        "tcp.analysis.window_full",
    ),
    RuleDoc(
        "impossible_flags",
        "Impossible flags",
        WARNING,
        "A segment has flags that no TCP state sends together: SYN with FIN or RST, FIN alone without ACK, or none of "
        "SYN, ACK, RST and FIN.",
        "Each system drops them or answers with a reset in its own way, and some filters let them pass.",
        "A port scan or system detection (null, FIN and Xmas scans), a test tool, a damaged segment.",
        "Find out what program the sender runs.",
        "T/TCP (RFC 1644, historic) sent SYN with FIN; a FIN without ACK also came from some very old systems.",
        ("RFC 9293 section 3.10.7",),
    ),
    RuleDoc(
        "options_stripped",
        "TCP options changed on the way",
        WARNING,
        "A SYN carries four NOPs in a row where an option would stand, or the SYN-ACK answers window scale, SACK or "
        "timestamps that the SYN at the tap did not offer.",
        "Without window scale a long path is slow; without SACK losses are repaired slowly; and if only one end "
        "believes an option is agreed on, the connection stalls.",
        "A firewall, load balancer or accelerator that removes or adds TCP options.",
        "Capture on both sides of each device on the path and compare the SYNs.",
        "A host whose own TCP composes options strangely looks the same.",
        ("RFC 7323 section 2.2", "RFC 7323 section 3.2", "RFC 2018 section 2"),
    ),
    RuleDoc(
        "ecn_misuse",
        "ECN flags without agreement",
        NOTE,
        "ECE, CWR or AE was set after a handshake that agreed on no ECN, neither the classic nor the accurate one.",
        "The other side ignores the flags; congestion that they report is not heeded.",
        "A device that rewrites flags or removes them from the handshake, or a faulty sender.",
        "Compare the SYNs at both ends.",
        "A reserved bit used by an experiment looks the same as AE.",
        ("RFC 3168 section 6.1.1", "RFC 9768 section 3.1"),
    ),
    RuleDoc(
        "delayed_ack_slow",
        "Acknowledgment delayed too long",
        NOTE,
        "A receiver took more than half a second to acknowledge data that had come in order, sent once, into an open "
        "window; what the way between it and the tap takes is allowed for.",
        "The sender may take the data for lost and send it again, and a sender that waits for acknowledgments stalls.",
        "A busy or sleeping host, a power-saving radio link, a stack that was set to delay acknowledgments.",
        "Capture at the receiver: does the data arrive at once, and when does the acknowledgment leave?",
        "An acknowledgment that was lost, or that the capture missed, looks the same.",
        ("RFC 9293 section 3.8.6.3", "RFC 5681 section 4.2"),
    ),
    RuleDoc(
        "keep_alive_early",
        "Keep-alive after less than two hours",
        NOTE,
        "A side asked whether the other was still there after less idle time than the least that may be the default.",
        "It is allowed where a program or administrator asked for it; each costs a packet and its answer, and wakes "
        "sleeping devices.",
        "A program that sets the interval (TCP_KEEPIDLE), or a system with another default.",
        "Nothing, if it is meant to keep a translator's or firewall's state alive; else look up which program asks.",
        "None known.",
        ("RFC 9293 section 3.8.4",),
        "tcp.analysis.keep_alive",
    ),
    RuleDoc(
        "challenge_ack_missing",
        "SYN in an open connection not answered",
        NOTE,
        "A SYN came in an open connection, and the side that it was sent to sent on without an ACK to it.",
        "That ACK is what tells a host that lost its state, or an attacker's victim, where the connection stands.",
        "The SYN or its answer was lost, the host limits such answers, or a stack older than RFC 5961.",
        "Capture at the host that should have answered: does the SYN arrive there?",
        "The SYN may have been lost behind this tap, so that this is never sure.",
        ("RFC 9293 section 3.10.7.4", "RFC 5961 section 4"),
    ),
    RuleDoc(
        "isn_reused",
        "Initial sequence number used again",
        WARNING,
        "A side began a connection on the same addresses and ports with the very sequence number of the one before.",
        "Old segments can be taken for new ones, and numbers that can be guessed let others forge segments.",
        "A replayed or generated capture, or a stack that does not choose its numbers as RFC 6528 asks.",
        "Find out whether the traffic is real; if so, update that system.",
        "Two connections have the same number by chance once in 4 billion.",
        ("RFC 9293 section 3.4.1", "RFC 6528"),
    ),
)
