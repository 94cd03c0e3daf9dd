"""What a detector is given and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from pcapreport.capture.model import Capture
from pcapreport.findings.passes import Passes
from pcapreport.settings import Settings
from pcapreport.tcp.connections import ConnectionTable
from pcapreport.tcp.families import Histories
from pcapreport.tcp.vantage import Vantages, find_vantages

if TYPE_CHECKING:
    from pcapreport.findings.forged_resets import Signs
    from pcapreport.findings.time_ledger import TimeLedger


class Severity(StrEnum):
    """How much it matters."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


class Confidence(StrEnum):
    """How sure the evidence makes it; a second axis beside severity."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Side(StrEnum):
    """Whose doing it is."""

    CLIENT = "client"
    SERVER = "server"
    NETWORK = "network"
    CAPTURE = "capture"


@dataclass(frozen=True, slots=True)
class Alternative:
    """A competing explanation."""

    explanation: str
    confidence: Confidence


class Finding(msgspec.Struct, frozen=True):
    """Something that went wrong or is worth knowing."""

    rule: str
    severity: Severity
    confidence: Confidence
    side: Side
    frames: tuple[int, ...]
    """Every frame that shows it, ascending."""
    time_ns: int | None
    summary: str
    connection: int | None = None
    """Index into the connection table; None: about the capture as a whole."""
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All that detectors look at; they change nothing and do not see each other."""

    capture: Capture
    table: ConnectionTable
    histories: Histories
    passes: Passes
    settings: Settings

    @cached_property
    def vantages(self) -> Vantages:
        """Where each connection's tap is."""
        return find_vantages(self.table, self.settings)

    @cached_property
    def sent_again(self) -> npt.NDArray[np.bool_]:
        """Per row: it carries numbers that its sender had sent before."""
        from pcapreport.findings.sent_again import sent_again  # which looks at evidence itself

        return sent_again(self)

    @cached_property
    def reported_twice(self) -> npt.NDArray[np.bool_]:
        """Per row that was sent again: the other side says that it had these bytes already."""
        from pcapreport.findings.arrived import reported_twice  # which looks at evidence itself

        return reported_twice(self)

    @cached_property
    def forgery(self) -> Signs:
        """What speaks against the RSTs of a side being its own."""
        from pcapreport.findings.forged_resets import signs_of_forgery  # which looks at evidence itself

        return signs_of_forgery(self)

    @cached_property
    def ledger(self) -> TimeLedger:
        """Where the time went."""
        from pcapreport.findings.time_ledger import time_ledger  # which looks at evidence itself

        return time_ledger(self)


Detector = Callable[[Evidence], Iterator[Finding]]
