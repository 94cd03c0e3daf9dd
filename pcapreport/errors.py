"""What can go wrong for a user, as a small tree; each class carries the exit code of the command line.

A message is one line: what, where (file, byte offset or frame), what to do. `str` of an error is its English; its
`message` can be said in other languages.
"""

from __future__ import annotations

from pcapreport.language import phrase

EXIT_DONE = 0
EXIT_FINDINGS = 1
EXIT_USAGE = 2
EXIT_SOME_UNREADABLE = 3
EXIT_NOTHING_ANALYSED = 4
EXIT_INTERRUPTED = 130


def reason(error: BaseException) -> str:
    """What an error was raised with: `str` would forget how a text was made."""
    return error.args[0] if error.args and isinstance(error.args[0], str) else str(error)


class PcapReportError(Exception):
    """Base of every error that a user may cause or meet."""

    exit_code = EXIT_USAGE

    @property
    def message(self) -> str:
        """In one line, with what it takes to say it in another language."""
        return reason(self)


class UsageError(PcapReportError):
    """The command line or the configuration cannot be obeyed."""


class UnreadableCapture(PcapReportError):
    """The bytes are no capture that can be read at all (damage after a sound start is a problem entry instead)."""

    exit_code = EXIT_SOME_UNREADABLE

    def __init__(self, file: str, reason: str, advice: str, offset: int = 0) -> None:
        """`offset` is the byte offset, in the decompressed stream, at which reading stopped."""
        super().__init__(file, reason, advice, offset)
        self.file = file
        self.reason = reason
        self.advice = advice
        self.offset = offset

    @property
    def message(self) -> str:
        return phrase(
            "{file}: byte {offset}: {reason}; {advice}",
            file=self.file,
            offset=self.offset,
            reason=self.reason,
            advice=self.advice,
        )

    def __str__(self) -> str:
        return str(self.message)


class WorkersFailed(PcapReportError):
    """No process could be had that captures are analysed in."""

    exit_code = EXIT_NOTHING_ANALYSED


class BadDocument(PcapReportError):
    """A saved result document cannot be read: wrong schema, cut, or not ours."""
