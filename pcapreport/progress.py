"""What a user is told while a batch runs: lines in the language spoken, or events for another program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from pcapreport.language import counted, forms, phrase, say, speaking, spoken_language
from pcapreport.report.wording import visible

ONLY_OTHERS = forms("no captures there, only {n:,} other file", "no captures there, only {n:,} other files")
LEFT_OUT = forms("left out as no captures: {n:,} other file", "left out as no captures: {n:,} other files")
STALE = forms(
    "{n:,} report is of a capture that is no more ({name}); --prune removes it",
    "{n:,} reports are of captures that are no more ({name} and others, listed in index.json); --prune removes them",
)
PRUNED = forms(
    "{n:,} report of a capture that is no more was removed", "{n:,} reports of captures that are no more were removed"
)
REDRAWN_S = 0.1
"""Seconds between two looks of the line that is written over: a terminal is slower than small captures."""
NAME_WIDTH = 40


class Echo(Protocol):
    """Writes a line, or what is to be written over."""

    def __call__(self, message: str, *, nl: bool = True) -> None: ...


class Progress:
    """Progress and messages of a batch for people."""

    def __init__(
        self, echo: Echo, quiet: bool, verbose: bool, live: bool, clock: Callable[[], float] = lambda: 0.0
    ) -> None:
        """`live`: `echo` shows on a terminal, whose last line may be written again and again."""
        self.echo, self.quiet, self.verbose, self.live, self.clock = echo, quiet, verbose, live, clock
        self.total = self.count = self.before = 0
        self.begun = self.drawn = float("-inf")
        self.sources: dict[str, str] = {}

    def meet(self, jobs: Iterable[Any]) -> None:
        """Called before all else if the names of captures are pseudonyms: only here both are said."""
        self.sources = {job.name: job.source for job in jobs}

    def _line(self, entry: Any) -> None:
        source, line = self.sources.get(entry.file), _line(entry)
        self.echo(visible(phrase("{source} is {line}", source=source, line=line)) if source else line)

    def plan(self, total: int, before: int, skipped: int) -> None:
        """Called once, before the first capture."""
        self.total, self.before, self.begun = total, before, self.clock()
        if not total:
            self.echo(say(counted(skipped, *ONLY_OTHERS) if skipped else phrase("no captures there")))
        elif skipped and self.verbose:
            self.echo(say(counted(skipped, *LEFT_OUT)))

    def took(self, file: str, seconds: float) -> None:
        """Called before `tell` for each capture that is done now."""

    def tell(self, entry: Any) -> None:
        """Called for each capture when it is done."""
        self.count += 1
        if entry.status != "ok":
            self._clear()
        if entry.status != "ok" or self.verbose:
            self._line(entry)
        now = self.clock()
        if self.live and now - self.drawn >= REDRAWN_S:
            self.drawn = now
            self.echo(f"\r\033[K{self._state(entry.file, now - self.begun)}", nl=False)

    def _state(self, file: str, seconds: float) -> str:
        """How far it is, how fast, and how long it will take if it goes on so."""
        name, fresh = visible(file)[:NAME_WIDTH], self.count - self.before
        if fresh <= 0 or seconds <= 0:
            return f"[{self.count}/{self.total}] {name}"
        left = int((self.total - self.count) * seconds / fresh)
        clock = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
        told = phrase(
            "[{done}/{total}] {rate:.1f}/s, {left} left: {file}",
            done=self.count,
            total=self.total,
            rate=fresh / seconds,
            left=clock,
            file=name,
        )
        return say(told)

    def _clear(self) -> None:
        if self.live:
            self.echo("\r\033[K", nl=False)

    def stale(self, reports: Sequence[Any], removed: bool) -> None:
        """Called at the end if there are reports of captures that are no more."""
        self._clear()
        for address in [address for report in reports for address in report.changed] if removed else ():
            message = phrase("{file}: is not as it was written, and is left where it is", file=address)
            self.echo(visible(message))
        if not self.quiet:
            self.echo(visible(counted(len(reports), *(PRUNED if removed else STALE), name=reports[0].name)))

    def note(self, text: str) -> None:
        """Something that is worth knowing."""
        self._clear()
        self.echo(visible(text))

    def finish(self, code: int = 0, index: str = "") -> None:
        """Called once, after the last; `code`: the exit status that follows."""
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


class Events(Progress):
    """The same for another program: one JSON object a line, in English."""

    def __init__(self, echo: Echo, clock: Callable[[], float]) -> None:
        super().__init__(echo, quiet=False, verbose=False, live=False, clock=clock)
        self.start = clock()
        self.seconds: dict[str, float] = {}
        self.by_status: Counter[str] = Counter()

    def event(self, kind: str, **told: Any) -> None:
        """Every event tells its kind, and when it happened: seconds since the program began."""
        import json  # which ends in ASCII: names of captures cannot steer a terminal

        line = {"event": kind, "at": round(self.clock() - self.start, 3), **told}
        self.echo(json.dumps(line, default=str))

    def plan(self, total: int, before: int, skipped: int) -> None:
        self.total, self.before = total, before
        self.event("started", captures=total, before=before, skipped=skipped)

    def took(self, file: str, seconds: float) -> None:
        self.seconds[file] = seconds

    def tell(self, entry: Any) -> None:
        """A capture without seconds was done by an earlier run, or given up by the process that watches."""
        self.count += 1
        self.by_status[entry.status] += 1
        seconds = self.seconds.pop(entry.file, None)
        told = {name: getattr(entry, name) for name in ("file", "status", "message", "severity", "verdict", "report")}
        if self.sources:
            told["source"] = self.sources[entry.file]
        self.event("capture", **told, json=entry.json, seconds=None if seconds is None else round(seconds, 3))

    def stale(self, reports: Sequence[Any], removed: bool) -> None:
        for report in reports:
            files = sorted(report.files) if removed else []
            self.event(
                "stale", file=report.name, removed=files, left=sorted({*report.files, *report.changed} - {*files})
            )

    def note(self, text: str) -> None:
        self.event("note", message=text)

    def finish(self, code: int = 0, index: str = "") -> None:
        statuses = {name: self.by_status[name] for name in ("ok", "damaged", "unreadable", "timeout", "crashed")}
        self.event("finished", captures=self.total, before=self.before, **statuses, exit_code=code, index=index)
