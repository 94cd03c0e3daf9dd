"""What a reader must know of a document whose names are replaced."""

from __future__ import annotations

from pcapreport.language import phrase, sentences
from pcapreport.report.model import Document


def anonymity(document: Document) -> str:
    """In sentences; "" where names are as they were."""
    if not document.options.get("anonymize"):
        return ""
    key_id = str(document.options.get("key_id", ""))
    if document.options.get("anonymize_ports"):
        return sentences(
            phrase("Addresses, ports, names, comments and paths are replaced; key id {key_id}.", key_id=key_id),
            phrase("Filters with addresses or ports do not match the original capture, those with frame numbers do."),
        )
    return sentences(
        phrase("Addresses, names, comments and paths are replaced; key id {key_id}.", key_id=key_id),
        phrase("Filters with addresses do not match the original capture, those with frame numbers do."),
    )
