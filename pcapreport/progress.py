"""What a user is told while a batch runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from pcapreport.language import counted, phrase
from pcapreport.report.wording import visible


class Echo(Protocol):
    """Writes a line, or what is to be written over."""

    def __call__(self, message: str, *, nl: bool = True) -> None: ...


class Progress:
    """Progress and messages of a batch."""

    def __init__(self, echo: Echo, quiet: bool, verbose: bool, live: bool) -> None:
        """`live`: `echo` shows on a terminal, whose last line may be written again and again."""
        self.echo, self.quiet, self.verbose, self.live = echo, quiet, verbose, live
        self.total = self.count = self.before = 0
        self.sources: dict[str, str] = {}

    def meet(self, jobs: Iterable[Any]) -> None:
        """Called before all else if the names of captures are pseudonyms: only here both are said."""
        self.sources = {job.name: job.source for job in jobs}

    def _line(self, entry: Any, line: str) -> None:
        source = self.sources.get(entry.file)
        self.echo(visible(phrase("{source} is {line}", source=source, line=line) if source else line))

    def plan(self, total: int, before: int, skipped: int) -> None:
        """Called once, before the first capture."""
        self.total, self.before = total, before
        if not total:
            others = f", only {counted(skipped, '{n:,} other file', '{n:,} other files')}" if skipped else ""
            self.echo(f"no captures there{others}")
        elif skipped and self.verbose:
            self.echo(f"left out as no captures: {counted(skipped, '{n:,} other file', '{n:,} other files')}")

    def tell(self, entry: Any) -> None:
        """Called for each capture when it is done."""
        self.count += 1
        if entry.status != "ok":
            self._clear()
            self._line(entry, entry.message or f"{entry.file}: {entry.status}")
        elif self.verbose:
            self._line(entry, f"{entry.file}: {entry.verdict}")
        if self.live:
            self.echo(f"\r\033[K[{self.count}/{self.total}] {visible(entry.file)[:60]}", nl=False)

    def _clear(self) -> None:
        if self.live:
            self.echo("\r\033[K", nl=False)

    def finish(self) -> None:
        """Called once, after the last."""
        self._clear()
        if not self.quiet:
            earlier = f", {self.before} of them by an earlier run" if self.before else ""
            self.echo(f"{self.count} of {self.total} captures done{earlier}")
