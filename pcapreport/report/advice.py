"""Who should act on a verdict, and what to do next, for those who only see the ticket."""

from __future__ import annotations

from pcapreport.language import Text, phrase
from pcapreport.report.model import Connection, Document

STEPS = 3


WHO = {"client": phrase("client"), "server": phrase("server")}


def actor(document: Document) -> Text:
    """In a sentence or two."""
    verdict = document.verdict
    lead = next((one for one in document.connections if one.severity == _worst_severity(document)), None)
    if verdict.side == "none":
        return phrase("Nobody: this capture shows no trouble. If there was some, capture while it happens.")
    if verdict.side == "undecidable":
        return phrase(
            "Not decided by this capture. Capture on the other side of the suspected place, or at both ends at once, "
            "and compare which segments arrive."
        )
    if verdict.side == "capture":
        return phrase("Whoever took the capture: take it again so that nothing is missing, before anyone else acts.")
    if verdict.side == "network":
        between = _between(lead) if lead else ""
        return phrase(
            "Whoever runs the network{between}: the capture shows that neither end is the cause.", between=between
        )
    host = getattr(lead, verdict.side).address if lead else ""
    if host:
        return phrase("Whoever runs the {side} ({host}).", side=WHO[verdict.side], host=host)
    return phrase("Whoever runs the {side}.", side=WHO[verdict.side])


def _worst_severity(document: Document) -> str | None:
    present = {one.severity for one in document.connections}
    return next((level for level in ("error", "warning", "note") if level in present), None)


def _between(connection: Connection) -> Text:
    client, server = connection.client.address, connection.server.address
    return phrase(" between {client} and {server}", client=client, server=server)


def next_steps(document: Document) -> list[tuple[str, str]]:
    """(title, what to do) of the rules that the verdict rests on, the first ones."""
    pages = [document.manual[rule] for rule in document.verdict.findings if rule in document.manual]
    return [(page.title, page.what_to_do) for page in pages[:STEPS]]
