"""What a user is told while a batch runs, in the language spoken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from pcapreport.language import counted, forms, phrase, say, speaking, spoken_language
from pcapreport.report.wording import visible

ONLY_OTHERS = forms("no captures there, only {n:,} other file", "no captures there, only {n:,} other files")
LEFT_OUT = forms("left out as no captures: {n:,} other file", "left out as no captures: {n:,} other files")


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

    def _line(self, entry: Any) -> None:
        source, line = self.sources.get(entry.file), _line(entry)
        self.echo(visible(phrase("{source} is {line}", source=source, line=line)) if source else line)

    def plan(self, total: int, before: int, skipped: int) -> None:
        """Called once, before the first capture."""
        self.total, self.before = total, before
        if not total:
            self.echo(say(counted(skipped, *ONLY_OTHERS) if skipped else phrase("no captures there")))
        elif skipped and self.verbose:
            self.echo(say(counted(skipped, *LEFT_OUT)))

    def tell(self, entry: Any) -> None:
        """Called for each capture when it is done."""
        self.count += 1
        if entry.status != "ok":
            self._clear()
        if entry.status != "ok" or self.verbose:
            self._line(entry)
        if self.live:
            self.echo(f"\r\033[K[{self.count}/{self.total}] {visible(entry.file)[:60]}", nl=False)

    def _clear(self) -> None:
        if self.live:
            self.echo("\r\033[K", nl=False)

    def finish(self) -> None:
        """Called once, after the last."""
        self._clear()
        if self.quiet:
            return
        done = phrase("{done} of {total} captures done", done=self.count, total=self.total)
        if self.before:
            done = phrase("{done}, {before} of them by an earlier run", done=done, before=self.before)
        self.echo(say(done))


def _line(entry: Any) -> str:
    """What became of a capture; of an earlier run's the entry alone knows how its texts were made."""
    with speaking(spoken_language(), entry.messages):
        if entry.status == "ok":
            return visible(f"{entry.file}: {say(entry.verdict)}")
        return visible(say(entry.message) or f"{entry.file}: {say(entry.status)}")
