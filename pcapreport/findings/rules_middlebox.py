"""Manual pages: what boxes in the path do, and hosts that try many others."""

from __future__ import annotations

from pcapreport.findings.model import Severity
from pcapreport.findings.rule_doc import RuleDoc

NOTE, WARNING, ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR

MIDDLEBOX_RULES: tuple[RuleDoc, ...] = (
    RuleDoc(
        "reset_by_middlebox",
        "Reset by a box in the path",
        ERROR,
        "A RST came in one side's name but does not look like that side's segments: it came from another distance, "
        "does not fit the count of its IP IDs, or that side went on sending as if nothing had happened.",
        "The applications see a reset that neither of them made; each side blames the other.",
        "A firewall or intrusion prevention that rejects the content, a translator or load balancer that dropped an "
        "idle connection, a censoring filter, an attacker who sees the connection.",
        "Look for firewalls, proxies and balancers between the two sides, at the distance that the TTL tells; capture "
        "on the side that is named: the RST does not leave it.",
        "Some hosts and load balancers send their own RSTs with another TTL; one sign alone is told with low "
        "confidence. A box that copies TTL and IP ID cannot be told from the side itself.",
        ("RFC 3360", "RFC 5961 section 3", "RFC 9293 section 3.5.3"),
    ),
    RuleDoc(
        "syn_flood",
        "SYN flood",
        ERROR,
        "A hundred or more SYNs to one address and port within ten seconds, each sent once, never led to a connection.",
        "They fill the server's queue of half-open connections; others get no answer.",
        "An attack, with forged sources or from one host; a load test or a scanner of one port.",
        "Switch SYN cookies on (RFC 4987 section 3.6), filter at the edge, ask the provider for help against forged "
        "sources.",
        "Where the capture misses the third step of handshakes (one direction only), crowds of real clients could look "
        "alike; clients that repeat their SYN are not counted.",
        ("RFC 4987 section 2",),
    ),
    RuleDoc(
        "port_scan",
        "Port scan",
        ERROR,
        "One host tried twenty or more ports or hosts within a minute, and four in five refused or stayed silent.",
        "Someone looks for services; the refusals and silent SYNs of the scan are no faults of the servers.",
        "A security scanner, an attacker, malware that spreads, an inventory or monitoring tool.",
        "Find out who runs that host and whether the scan was agreed upon.",
        "Slow scans, and those spread over many hosts, are not noticed. Peer-to-peer programs whose peers are gone "
        "look like scans.",
        ("RFC 4949 (scan)",),
    ),
)
