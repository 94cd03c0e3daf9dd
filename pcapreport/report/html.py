"""The result document as one HTML page: no request of any kind, complete without scripts, readable without styles.

The only module that imports jinja2, beside `templating` (the batch page comes through `render_template`). Two rules
guard the page against hostile capture text: autoescape is always on, and `finalize` passes every string that a template
prints through `wording.visible`, so that no template can forget it.
"""

from __future__ import annotations

import base64
import hashlib
import pathlib
import re
import shlex
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, PackageLoader
from markupsafe import Markup, escape

from pcapreport.language import phrase, say, speaking
from pcapreport.report import page_words, wording
from pcapreport.report.advice import actor, next_steps
from pcapreport.report.anonymity import anonymity
from pcapreport.report.columns import columns
from pcapreport.report.figures import capture_figures
from pcapreport.report.model import Connection, Document, EndpointHistory, Finding, Transition
from pcapreport.report.row_words import caption
from pcapreport.report.sequence_diagram import FAMILY_COLOUR
from pcapreport.report.shown import frame_links, page_anchors, shown_connections, slug
from pcapreport.report.templating import environment_of
from pcapreport.report.timeline import timeline

MOST_BYTES = 5 << 20
"""Of a page, unless the document's options say otherwise."""
TICKET_FINDINGS = 12
CONNECTION_ROWS = 500
FINDING_ROWS = 400
"""Longer tables help nobody on a page; what is left out is said in words and is in the JSON."""
MARGIN_CHARACTERS = 110
"""Of the capture's name in the margin of a printed page."""
FRAME_RUNS = 100
"""Runs of frames written for one finding."""
_FRAME_WORDS = re.compile(
    r"(?:\b(?i:frames?)|帧) ((?:\d+(?:\s?[–-]\s?\d+)?(?![\d,]* more)(?:, and | and |, | to |、| 和 | 至 )?)+)"
)


@dataclass(frozen=True)
class Stay:
    """A state of one endpoint and how long it lasted."""

    transition: Transition
    dwell: str


@dataclass(frozen=True)
class Located:
    """A finding and the connection it is about; None: the capture as a whole."""

    finding: Finding
    connection: Connection | None


def render_html(document: Document, templates: pathlib.Path | None = None, most: int | None = None) -> str:
    """The page; `templates` may hold templates that replace the packaged ones.

    No larger than `most` bytes or else the document's option max_size, as long as that leaves room for one connection:
    fewer of them are then shown in detail, the worst first, and shorter tables.
    """
    with speaking(document.language, document.messages):
        if document.options.get("profile") == "ticket":
            return _ticket(document, templates)
        if document.options.get("profile") == "lab":
            from pcapreport.report.lab_page import lab_page  # which is made of this module's parts

            return lab_page(document, templates)
        return _full(document, templates, most or document.options.get("max_size") or MOST_BYTES)


def _full(document: Document, templates: pathlib.Path | None, allowed: int) -> str:
    detailed = sum(one.detail is not None for one in document.connections)
    page, share = _page(document, templates, detailed, 1), 1
    while (size := len(page.encode())) > allowed and share < max(detailed, 8):
        share *= 4 if size > 8 * allowed else 2
        page = _page(document, templates, max(detailed // share, 1), share)
    return page


def _worst(document: Document) -> list[Connection]:
    """The connections with details, the worst first."""
    detailed = (one for one in document.connections if one.detail is not None)
    return sorted(detailed, key=lambda one: wording.SEVERITY_RANK[one.severity])


def _ticket(document: Document, templates: pathlib.Path | None) -> str:
    """The short page: verdict, who should act, the worst connection's timeline, the gravest findings, one diagram."""
    shown = list(shown_connections(_worst(document)[:1], dict(page_anchors(document.connections))))
    found = _all_findings(document)
    events, events_left_out = timeline(shown[0].connection) if shown else ([], 0)
    return render_template(
        "ticket.html.jinja",
        templates,
        frame_links(shown),
        document=document,
        capture=document.capture,
        shown=shown,
        events=events,
        events_left_out=events_left_out,
        findings=found[:TICKET_FINDINGS],
        findings_left_out=sum(document.totals.findings.values()) - min(len(found), TICKET_FINDINGS),
        verdict_filter=_verdict_filter(document),
        next_steps=next_steps(document),
        actor=actor,
    )


def _page(document: Document, templates: pathlib.Path | None, details: int, share: int) -> str:
    """With so many connections in detail and tables of a part of their usual length."""
    anchors = dict(page_anchors(document.connections))
    shown = list(shown_connections(_worst(document)[:details], anchors))
    listed = _most_notable(document.connections, CONNECTION_ROWS // share)
    found = _all_findings(document)
    rows = FINDING_ROWS // share
    return render_template(
        "report.html.jinja",
        templates,
        frame_links(shown),
        document=document,
        capture=document.capture,
        anchors=anchors,
        shown=shown,
        listed=listed,
        overview=capture_figures(document),
        findings=found[:rows],
        findings_left_out=sum(document.totals.findings.values()) - min(len(found), rows),
        verdict_filter=_verdict_filter(document),
    )


def template_of(name: str, templates: pathlib.Path | None) -> Callable[..., str]:
    """What renders a part of a page that is needed many times."""
    return _environment(templates).get_template(name).render


def render_template(
    name: str,
    templates: pathlib.Path | None,
    links: dict[int, str] | None = None,
    scripts: Sequence[str] = ("script.js",),
    **values: Any,
) -> str:
    """One page from its template; `links` maps a frame to the id of the row that shows it."""
    environment = _environment(templates)
    known = links or {}

    def linked(text: str) -> Markup:
        return linked_text(text, known)

    script = Markup("\n").join(_source(environment, one) for one in scripts)
    values.update(
        linked=linked,
        frame_links=known,
        style=_source(environment, "style.css"),
        script=script,
        script_hash=script_hash(script),
    )
    return environment.get_template(name).render(values)


def script_hash(script: str) -> str:
    """The source expression by which a content security policy allows exactly this script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@lru_cache(maxsize=4)
def _environment(templates: pathlib.Path | None) -> Environment:
    packaged: BaseLoader = PackageLoader("pcapreport.templates", "")
    environment = environment_of(
        ChoiceLoader([FileSystemLoader(templates), packaged]) if templates else packaged,
        page_words.shown,
        kept=templates is None,
    )
    environment.filters.update(
        duration=wording.duration,
        moment=wording.moment,
        interval=wording.interval,
        number=wording.number,
        size=wording.size,
        share=wording.share,
        percent=wording.percent,
        spoken=wording.spoken,
        said=say,
        columns=columns,
        frames=wording.frame_list,
        frame_filter=wording.frame_filter,
        plain=_plain,
        slug=slug,
        quoted=shlex.quote,
        address=urllib.parse.quote,
        css_string=_css_string,
    )
    environment.globals.update(
        counted=page_words.counted,
        joined=page_words.joined,
        sentences=page_words.sentences,
        severity_counts=wording.SEVERITY_COUNTS,
        _=page_words.phrase,
        language=page_words.html_language,
        anonymity=anonymity,
        caption=caption,
        stays=_stays,
        reason=_reason,
        finding_filter=_finding_filter,
        severity_rank=wording.SEVERITY_RANK,
        severity_mark=wording.SEVERITY_MARK,
        certainty_mark=wording.CERTAINTY_MARK,
        frame_runs=FRAME_RUNS,
        runs=wording.runs,
        state_slug={state: state.lower() for state in FAMILY_COLOUR},
    )
    return environment


def _source(environment: Environment, name: str) -> Markup:
    """A packaged file as it is; it may not close the element it is put in."""
    assert environment.loader is not None
    text, _, _ = environment.loader.get_source(environment, name)
    if "</" in text:
        raise ValueError(f"{name} must not contain '</'")
    return Markup(text)


def _plain(value: Any) -> str:
    """An option's value: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _css_string(text: str) -> Markup:
    """Hostile text as a string of a style sheet, by its beginning: each character but letters and digits is escaped."""
    safe = re.sub(r"[^A-Za-z0-9]", lambda found: f"\\{ord(found[0]):x} ", wording.short(text, MARGIN_CHARACTERS))
    return Markup(f'"{safe}"')


def _most_notable(connections: Sequence[Connection], most: int) -> list[Connection]:
    """The connections that the table lists, in the document's order: all, or the worst where they are too many."""
    if len(connections) <= most:
        return list(connections)
    ranked = sorted(
        range(len(connections)),
        key=lambda i: (connections[i].detail is None, wording.SEVERITY_RANK[connections[i].severity], i),
    )
    return [connections[i] for i in sorted(ranked[:most])]


def _all_findings(document: Document) -> list[Located]:
    """Every finding, worst first; equals keep the document's order, those about the capture before the others."""
    found = [Located(f, None) for f in document.findings]
    found.extend(Located(f, c) for c in document.connections for f in c.findings)
    return sorted(found, key=lambda located: wording.SEVERITY_RANK[located.finding.severity])


def _stays(end: EndpointHistory, capture_end_s: float) -> list[Stay]:
    """The history with the time spent in each state; the last one is bounded by the end of the capture only."""
    stays = []
    for i, transition in enumerate(end.history):
        if i + 1 < len(end.history):
            dwell = wording.dwell(transition.entered_s, end.history[i + 1].entered_s)
        elif transition.state in ("CLOSED", "LISTEN"):
            dwell = ""
        else:
            dwell = wording.dwell(transition.entered_s, (capture_end_s, None)) or phrase("to the end")
        stays.append(Stay(transition, dwell))
    return stays


def _reason(rule: str, rules: Mapping[str, str]) -> str:
    """What a state rule says, without the entries of the state table that may follow; "" if unknown or long."""
    meaning = re.split(r": (?=[A-Z][A-Z0-9-]+ to [A-Z])", rules.get(rule, ""), maxsplit=1)[0]
    return meaning if len(meaning) <= 110 else ""


def _finding_filter(finding: Finding) -> str:
    """The Wireshark filter of a finding; "" where it would be too long to use and none was given."""
    if finding.filter:
        return finding.filter
    if not finding.frames or len(wording.runs(finding.frames)) > FRAME_RUNS:
        return ""
    return wording.frame_filter(finding.frames)


def _numbers(words: str) -> Iterator[int]:
    """The frames that "3, 5–8 and 12" names."""
    for first, last in re.findall(r"(\d+)(?:\s?(?:[–-]| to )\s?(\d+))?", words):
        a, b = int(first), int(last or first)
        yield from range(a, min(b, a + 10_000) + 1)


def _verdict_filter(document: Document) -> str:
    """The filter that shows every frame which the verdict's evidence names."""
    named = {n for fact in document.verdict.evidence for m in _FRAME_WORDS.finditer(fact) for n in _numbers(m[1])}
    named = {n for n in named if 1 <= n <= document.capture.packets}
    return wording.frame_filter(sorted(named)) if named and len(wording.runs(sorted(named))) <= FRAME_RUNS else ""


def linked_text(text: str, links: dict[int, str]) -> Markup:
    """Text whose "frame 12" leads to the row of frame 12, where the page has one."""

    def link_numbers(found: re.Match[str]) -> str:
        return re.sub(r"\d+", link_one, found[0])

    def link_one(found: re.Match[str]) -> str:
        row = links.get(int(found[0])) if len(found[0]) < 12 else None
        return f'<a href="#{row}">{found[0]}</a>' if row else found[0]

    return Markup(_FRAME_WORDS.sub(link_numbers, str(escape(wording.visible(say(text))))))
