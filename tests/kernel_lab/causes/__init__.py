"""Runs of a known cause: what went wrong, whose doing it was, and where on the path; see README.md, "Verdicts"."""

from . import applications, boxes, crowds, paths
from .register import CAUSES

__all__ = ["CAUSES", "applications", "boxes", "crowds", "paths"]
