"""What Wireshark says of each segment: the `tcp.analysis.*` fields of tshark 4.0.17 with its default preferences.

Wireshark judges each segment by a few numbers kept for each direction; this does the same with array passes over all
conversations at once (`passes.py`), and segment by segment (`walk.py`, which holds the rules in full) for the few
conversations that are out of the plain: zero-window probes, repeated SYNs in mid-conversation, Multipath TCP, numbers
that jump by a quarter of their circle.

Not followed: TCP in ICMP errors, which Wireshark lets begin a conversation; that it stops counting a SYN or FIN as
long as 10,000 segments of its direction are unacknowledged; that subflows of one Multipath TCP connection share what
options were seen.
"""

from __future__ import annotations

from pcapreport.findings.wireshark.marks import Mark, duplicate_ack_number, fields_of
from pcapreport.findings.wireshark.words import analysis

__all__ = ["Mark", "analysis", "duplicate_ack_number", "fields_of"]
