"""Two runs compared: which findings are new, which are unchanged, which are gone.

A finding's id is its rule, its side and its scope: the client's address, the server's address and port. Frames, times
and the client's port differ from run to run and are no part of it, so several findings may share an id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pcapreport.errors import UsageError
from pcapreport.language import phrase, remembered
from pcapreport.message import Message
from pcapreport.report import model

CAPTURE = "capture"
"""The scope of what concerns no connection."""


def finding_id(rule: str, side: str, scope: str) -> str:
    """Such as "reset:server:10.0.0.1>10.0.0.2:80"."""
    return f"{rule}:{side}:{scope}"


def scope_of(client: str, server: str, port: int) -> str:
    """Addresses as text; an IPv6 address before a port stands in brackets."""
    return f"{client}>[{server}]:{port}" if ":" in server else f"{client}>{server}:{port}"


class _End(msgspec.Struct):
    address: str
    port: int


class _Finding(msgspec.Struct):
    rule: str
    side: str
    severity: model.Severity
    summary: str


class _Connection(msgspec.Struct):
    client: _End
    server: _End
    findings: list[_Finding]


class _Document(msgspec.Struct):
    """What of a result document is compared."""

    schema_version: str
    connections: list[_Connection]
    findings: list[_Finding]
    messages: dict[str, Message] = {}
    options: dict[str, Any] = {}


class Known(NamedTuple):
    """A finding of the earlier run, the first with its id."""

    rule: str
    severity: model.Severity
    summary: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """The findings of an earlier run."""

    file: str
    """As the user named it, or "" where the earlier run has no such capture."""
    messages: dict[str, Message] = field(default_factory=dict)
    """How its texts were made."""
    known: dict[str, Known] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, finding: _Finding, scope: str) -> None:
        """Take note of a finding of the earlier run."""
        name = finding_id(finding.rule, finding.side, scope)
        summary = remembered(finding.summary, self.messages)
        self.known.setdefault(name, Known(finding.rule, finding.severity, summary))
        self.counts[name] += 1


def _marks(options: Mapping[str, Any]) -> tuple[Any, ...]:
    """By which key names are replaced, if they are."""
    return options.get("key_id"), options.get("anonymize_ports")


def load(path: Path, options: Mapping[str, Any]) -> Baseline:
    """From a result document; raises UsageError for what is none, or has other names than these options give."""
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
    except (OSError, msgspec.MsgspecError) as error:
        message = phrase(
            "--baseline {path}: {reason}; give a .json that `report` wrote, or its directory",
            path=str(path),
            reason=str(error.strerror if isinstance(error, OSError) else error),
        )
        raise UsageError(message) from error
    if document.schema_version.split(".")[0] != model.SCHEMA_VERSION.split(".")[0]:
        message = phrase(
            "--baseline {path}: its schema_version is {version}; make it anew",
            path=str(path),
            version=document.schema_version,
        )
        raise UsageError(message)
    if _marks(document.options) != _marks(options):
        raise UsageError(
            phrase("--baseline {path}: was not anonymised with this key; give both runs the same", path=str(path))
        )
    baseline = Baseline(path.name, document.messages)
    for finding in document.findings:
        baseline.add(finding, CAPTURE)
    for connection in document.connections:
        scope = scope_of(connection.client.address, connection.server.address, connection.server.port)
        for finding in connection.findings:
            baseline.add(finding, scope)
    return baseline


def counterpart(baseline: Path, name: str, options: Mapping[str, Any]) -> Baseline:
    """What an earlier run said of the capture of this name: `baseline` is its document, or the run's directory."""
    if not baseline.is_dir():
        return load(baseline, options)
    path = baseline / f"{name}.json"
    return load(path, options) if path.is_file() else Baseline("")


class Comparison:
    """Findings of this run as they come, in any number of parts."""

    def __init__(self, baseline: Baseline | None) -> None:
        self._baseline = baseline
        self._counts: Counter[str] = Counter()
        self._new: Counter[model.Severity] = Counter()

    def status(self, name: str) -> model.Status | None:
        """What a finding of this id is compared with the earlier run, if there is one."""
        if self._baseline is None:
            return None
        return "unchanged" if name in self._baseline.known else "new"

    def add(self, findings: Iterable[model.Finding]) -> None:
        """Take note of findings of this run, each once."""
        if self._baseline is not None:
            for finding in findings:
                self._counts[finding.id] += 1
                self._new[finding.severity] += finding.status == "new"

    def join(self, other: Comparison) -> None:
        """And those that later parts were compared with."""
        self._counts.update(other._counts)
        self._new.update(other._new)

    def record(self) -> model.Comparison | None:
        """What the document says of it."""
        if self._baseline is None:
            return None
        known, before = self._baseline.known, self._baseline.counts
        gone = [model.Gone(id=name, **known[name]._asdict()) for name in sorted(known.keys() - self._counts.keys())]
        both = sorted(known.keys() & self._counts.keys())
        return model.Comparison(
            file=self._baseline.file,
            new=sum(self._new.values()),
            unchanged=sum(self._counts[name] for name in both),
            gone=gone,
            new_by_severity={level: count for level, count in sorted(self._new.items()) if count},
            counts_changed=[
                model.CountChange(id=name, before=before[name], now=self._counts[name])
                for name in both
                if before[name] != self._counts[name]
            ],
        )
