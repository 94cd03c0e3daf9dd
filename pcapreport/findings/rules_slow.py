"""Manual pages: who took the time."""

from __future__ import annotations

from pcapreport.findings.model import Severity
from pcapreport.findings.rule_doc import RuleDoc

NOTE, WARNING = Severity.NOTE, Severity.WARNING

SLOW_RULES: tuple[RuleDoc, ...] = (
    RuleDoc(
        "slow_response",
        "Slow answer",
        WARNING,
        "Between the end of a request and the first byte of its answer more than a second passed in which the server "
        "had the request and owed the answer: the round trip between the tap and the server is taken off.",
        "Users wait, though the network delivers at once.",
        "A slow query, a lock, a full queue of requests, a backend that is slow in its turn; garbage collection; a "
        "server that waits on purpose (a long poll).",
        "Look into the server's log at the time of the request; capture between the server and its backends.",
        "What the first byte answers is told by order alone: where requests overlap (HTTP/2, pipelining) an answer may "
        "belong to an earlier one.",
        ("RFC 9293 section 3.8",),
    ),
    RuleDoc(
        "application_limited",
        "Waited for an application",
        NOTE,
        "At least half of the connection's time, and more than a second, one side's application had nothing to wait "
        "for and did not send.",
        "A faster network would not help.",
        "A person who thinks or types, a program that works between its requests, a slow producer of data.",
        "Ask what that application does meanwhile; no fault need be meant.",
        "Idle time before a close, and keep-alives, are not counted; a side whose data the capture missed seems idle.",
        ("RFC 7661 (application-limited)",),
    ),
    RuleDoc(
        "network_limited",
        "Waited for the network",
        NOTE,
        "At least half of the connection's time, and more than a second, segments or acknowledgments were on their "
        "way and neither application was slow.",
        "Faster hosts would not help; fewer round trips, or a faster path, would.",
        "A long way, a narrow link, a queue, many small requests one after the other.",
        "Compare the round trip with that of another path; count the round trips of a transaction; look for the "
        "narrowest link.",
        "Delayed acknowledgments of the receiver count as the network's time.",
        ("RFC 6349 (framework for TCP throughput testing)",),
    ),
)
