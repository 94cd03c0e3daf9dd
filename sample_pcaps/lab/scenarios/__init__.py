"""The scenarios, one function each; importing this package registers all of them."""

from lab.scenarios import closings, openings, recordings, resets, troubles
from lab.scenarios.registry import SCENARIOS

__all__ = ["SCENARIOS", "closings", "openings", "recordings", "resets", "troubles"]
