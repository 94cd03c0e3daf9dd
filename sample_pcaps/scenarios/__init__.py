"""The scenarios, one function each; importing this package registers all of them."""

from scenarios import closings, openings, recordings, resets, troubles
from scenarios.registry import SCENARIOS

__all__ = ["SCENARIOS", "closings", "openings", "recordings", "resets", "troubles"]
