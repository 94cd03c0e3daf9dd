"""Packet captures -> reports on their TCP connections: each side's RFC 9293 states, what went wrong, the evidence.

The line, left to right; each stage takes the one before's type and returns the next, and none reaches back:

    capture file -> records -> packet table -> connections -> endpoint histories -> findings -> document -> renderers
                    capture/   capture/        tcp/           tcp/                  findings/   report/     report/

`pipeline.analyze` is this line as one function. Around it: `batch/` runs it over many captures in worker processes,
`cli` and `commands/` alone print and read the clock. Imports point down only:

    cli > commands > batch > pipeline > renderers > report.build > report.model > findings > tcp > capture > settings

Each third party has one door: dpkt in capture/dissect, matplotlib in report/picture, jinja2 in report/html,
weasyprint in report/pdf, click in cli, commands and options, yacryptopan in pseudonyms, duckdb in batch/parquet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcapreport.version import __version__

__all__ = ["__version__", "analyze", "render"]

if TYPE_CHECKING:
    from pcapreport.pipeline import analyze
    from pcapreport.report.html import render_html as render


def __getattr__(name: str) -> Any:
    """Load the public functions on first use, so that `pcapreport --help` stays fast."""
    if name == "analyze":
        from pcapreport.pipeline import analyze

        return analyze
    if name == "render":
        from pcapreport.report.html import render_html

        return render_html
    raise AttributeError(name)
