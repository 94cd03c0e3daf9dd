"""The rules' manual pages as plain text."""

from __future__ import annotations

from pcapreport.errors import UsageError
from pcapreport.findings.rule_doc import RuleDoc
from pcapreport.findings.rules import RULES
from pcapreport.language import phrase, say
from pcapreport.report.columns import padded, wrapped

WIDTH = 88


def listing() -> str:
    """One line a rule: id, default severity, title; in the language spoken, as all here."""
    longest = max(len(rule) for rule in RULES)
    return "\n".join(f"{doc.id:<{longest}}  {padded(say(doc.severity), 7)}  {say(doc.title)}" for doc in RULES.values())


def page(rule: str) -> str:
    """The manual page of one rule. Raises UsageError for a rule that does not exist."""
    doc = RULES.get(rule)
    if doc is None:
        near = [name for name in RULES if rule.replace("-", "_") in name]
        if near:
            raise UsageError(phrase("{rule}: no such rule; did you mean {near}?", rule=rule, near=", ".join(near[:3])))
        raise UsageError(phrase("{rule}: no such rule; `pcapreport rules` lists them", rule=rule))
    return "\n".join(_lines(doc))


def _lines(doc: RuleDoc) -> list[str]:
    usual = phrase("severity: {severity} unless the evidence says otherwise", severity=say(doc.severity))
    lines = [f"{doc.id}: {say(doc.title)}", say(usual)]
    if doc.wireshark:
        lines.append(f"Wireshark: {doc.wireshark}")
    parts = (
        (phrase("What it means"), doc.means),
        (phrase("Why it matters"), doc.why_it_matters),
        (phrase("Likely causes"), doc.likely_causes),
        (phrase("What to do"), doc.what_to_do),
        (phrase("Known problems"), doc.known_problems),
        (phrase("References"), doc.references),
    )
    for title, text in parts:
        told = say(text) if isinstance(text, str) else "; ".join(text)
        if told:
            lines += ["", say(title), *(f"  {line}" for line in wrapped(told, WIDTH - 2))]
    return lines
