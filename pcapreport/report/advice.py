"""Who should act on a verdict, and what to do next, for those who only see the ticket."""

from __future__ import annotations

from pcapreport.report.model import Connection, Document

STEPS = 3


def actor(document: Document) -> str:
    """In a sentence or two."""
    verdict = document.verdict
    lead = next((one for one in document.connections if one.severity == _worst_severity(document)), None)
    if verdict.side == "none":
        return "Nobody: this capture shows no trouble. If there was some, capture while it happens."
    if verdict.side == "undecidable":
        return (
            "Not decided by this capture. Capture on the other side of the suspected place, or at both ends at once, "
            "and compare which segments arrive."
        )
    if verdict.side == "capture":
        return "Whoever took the capture: take it again so that nothing is missing, before anyone else acts."
    if verdict.side == "network":
        between = f" between {_ends(lead)}" if lead else ""
        return f"Whoever runs the network{between}: the capture shows that neither end is the cause."
    host = getattr(lead, verdict.side).address if lead else ""
    named = f" ({host})" if host else ""
    return f"Whoever runs the {verdict.side}{named}."


def _worst_severity(document: Document) -> str | None:
    present = {one.severity for one in document.connections}
    return next((level for level in ("error", "warning", "note") if level in present), None)


def _ends(connection: Connection) -> str:
    return f"{connection.client.address} and {connection.server.address}"


def next_steps(document: Document) -> list[tuple[str, str]]:
    """(title, what to do) of the rules that the verdict rests on, the first ones."""
    pages = [document.manual[rule] for rule in document.verdict.findings if rule in document.manual]
    return [(page.title, page.what_to_do) for page in pages[:STEPS]]
