"""What the connections of the laboratory go through; importing this package registers all scenarios."""

from . import closings, crossings, openings, ports, resets, silence, transfers, waits
from .registry import SCENARIOS

__all__ = ["SCENARIOS", "closings", "crossings", "openings", "ports", "resets", "silence", "transfers", "waits"]
