"""The rules' manual pages as plain text."""

from __future__ import annotations

import textwrap

from pcapreport.errors import UsageError
from pcapreport.findings.rule_doc import RuleDoc
from pcapreport.findings.rules import RULES

WIDTH = 88


def listing() -> str:
    """One line a rule: id, default severity, title."""
    longest = max(len(rule) for rule in RULES)
    return "\n".join(f"{doc.id:<{longest}}  {doc.severity:<7}  {doc.title}" for doc in RULES.values())


def page(rule: str) -> str:
    """The manual page of one rule. Raises UsageError for a rule that does not exist."""
    doc = RULES.get(rule)
    if doc is None:
        near = [name for name in RULES if rule.replace("-", "_") in name]
        hint = f"; did you mean {', '.join(near[:3])}?" if near else "; `pcapreport rules` lists them"
        raise UsageError(f"{rule}: no such rule{hint}")
    return "\n".join(_lines(doc))


def _lines(doc: RuleDoc) -> list[str]:
    lines = [f"{doc.id}: {doc.title}", f"severity: {doc.severity} unless the evidence says otherwise"]
    if doc.wireshark:
        lines.append(f"Wireshark: {doc.wireshark}")
    parts = (
        ("What it means", doc.means),
        ("Why it matters", doc.why_it_matters),
        ("Likely causes", doc.likely_causes),
        ("What to do", doc.what_to_do),
        ("Known problems", doc.known_problems),
        ("References", doc.references),
    )
    for title, text in parts:
        told = text if isinstance(text, str) else "; ".join(text)
        if told:
            lines += ["", title, textwrap.indent(textwrap.fill(told, WIDTH - 2), "  ")]
    return lines
