"""What the connections of the laboratory go through; importing this package registers all scenarios."""

from . import closings, openings, ports, resets, silence, transfers
from .registry import SCENARIOS

__all__ = ["SCENARIOS", "closings", "openings", "ports", "resets", "silence", "transfers"]
