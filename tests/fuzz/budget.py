"""How many examples hypothesis tries on hostile input: few in a usual run, as many as you like by hand.

    PCAPREPORT_EXAMPLES=100000 python -m pytest tests/fuzz

tries that many in all; each test says which share of them is its own.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("PCAPREPORT_EXAMPLES", "1000"))


def share(percent: int) -> settings:
    """The settings of a test that takes this part of all examples."""
    count = max(1, EXAMPLES * percent // 100)
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])
