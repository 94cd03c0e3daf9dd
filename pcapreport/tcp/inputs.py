"""Reads an endpoint's segments as inputs of the state machine: what it sent, and what it took of what it was sent.

Each input carries the interval in which it took effect and how sure that is. What later segments contradict is not
given at all, and told in `withdrawn`.
"""

from __future__ import annotations

from pcapreport.tcp.closing import Closing
from pcapreport.tcp.evidence import Segment, View
from pcapreport.tcp.facts import Fact
from pcapreport.tcp.history import Withdrawn
from pcapreport.tcp.opening import Opening
from pcapreport.tcp.resets import Resets
from pcapreport.tcp.sending import Sending


def facts_of(view: View) -> tuple[list[Fact], list[Withdrawn]]:
    """(the endpoint's inputs in its own order, what later segments contradict)."""
    withdrawn: list[Withdrawn] = []

    def withdraw(words: str, *named: Segment, times: int = 0) -> None:
        withdrawn.append(Withdrawn(words, tuple(segment.frame for segment in named), times))

    facts = [fact for part in (Sending, Opening, Closing, Resets) for fact in part(view, withdraw).facts()]
    return sorted(facts, key=lambda fact: fact[:2]), withdrawn
