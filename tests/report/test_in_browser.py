"""The page in a real browser: no request, no message, no sideways scrolling, a whole printout."""

import os
import pathlib
import shutil
import subprocess

import documents
import pytest
from msgspec.structs import replace

from pcapreport.batch.index import entry_of, worst_first
from pcapreport.batch.index_pages import Look, index_pages, render_index
from pcapreport.pipeline import analyze
from pcapreport.report.build import DocumentOptions
from pcapreport.report.html import render_html
from pcapreport.settings import Reading

SAMPLE = pathlib.Path(__file__).parents[2] / "sample_pcaps" / "loss-with-fast-retransmit.pcap"
LESSON, READING = DocumentOptions(lab=True), Reading(frames=True)
OTHER_PAGES = {
    "chinese": {"profile": "full", "lang": "zh"},
    "chinese-ticket": {"profile": "ticket", "lang": "zh"},
    "lab": {"profile": "lab"},
    "chinese-lab": {"profile": "lab", "sheet": "answers", "lang": "zh"},
    "chinese-sheet": {"profile": "lab", "sheet": "student", "lang": "zh"},
}
"""Options of pages of one real capture."""
CHROMIUM = next(filter(None, (shutil.which(n) for n in ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def missing(what: str) -> None:
    """Skip with the reason, or fail where nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="module")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright")
    if CHROMIUM is None:
        missing("Chromium")
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """One file for each document, and the index over them."""
    folder = tmp_path_factory.mktemp("pages")
    for name, make in documents.DOCUMENTS.items():
        (folder / f"{name}.html").write_text(render_html(make()), encoding="utf-8")
    entries = [entry_of(make(), name, f"{name}.html", "") for name, make in documents.DOCUMENTS.items()]
    (folder / "index.html").write_text(render_index(entries), encoding="utf-8")
    (folder / "many").mkdir()
    for name, page in index_pages(worst_first(entries), Look(rows=1)):
        (folder / "many" / name).write_text(page, encoding="utf-8")
    told = analyze(SAMPLE, name=SAMPLE.name, options=LESSON, reading=READING)
    for name, options in OTHER_PAGES.items():
        (folder / f"{name}.html").write_text(render_html(replace(told, options=options)), encoding="utf-8")
    entries.append(entry_of(told, SAMPLE.name, "lab.html", ""))
    (folder / "chinese-index.html").write_text(render_index(entries, language="zh"), encoding="utf-8")
    (folder / "chinese-class.html").write_text(render_index(entries, language="zh", lab=True), encoding="utf-8")
    return folder


ALL = [*documents.DOCUMENTS, "index", "many/index", "many/index-2", *OTHER_PAGES, "chinese-index", "chinese-class"]


@pytest.fixture(params=ALL)
def path(request, pages) -> pathlib.Path:
    return pages / f"{request.param}.html"


@pytest.fixture(scope="module")
def watched(browser):
    """A page with what it asks for and what it says; one for all tests, as a new one costs more than most of them."""
    context = browser.new_context()
    page, requests, messages = context.new_page(), [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", lambda dialog: (messages.append(dialog.message), dialog.dismiss()))
    yield page, requests, messages
    context.close()


@pytest.mark.parametrize("width", [320, 768, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_request_no_message_no_sideways_scrolling(watched, path, width, scheme):
    page, requests, messages = watched
    page.goto("about:blank")  # so that what the page before may still say is not taken for this one's
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    del requests[:], messages[:]
    page.goto(path.as_uri())
    assert requests == [path.as_uri()]
    assert messages == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_is_complete_without_scripts(browser, pages):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((pages / "clean_close.html").as_uri())
    assert page.locator("svg[role=img], svg[role=group]").count() == 4  # the sequence diagram is in two parts
    assert page.locator("table.packets tbody tr").count() == 11
    context.close()


def test_tables_sort_and_filter(browser, pages):
    page = browser.new_page()
    page.goto((pages / "index.html").as_uri())
    packets = page.locator("table.captures tbody td:nth-child(10)")
    page.get_by_role("button", name="Packets").click()
    shown = [int(cell.replace(",", "")) for cell in packets.all_inner_texts()]
    assert shown == sorted(shown, reverse=True) and len(set(shown)) > 2
    assert page.locator("th[aria-sort=descending]").count() == 1
    page.get_by_role("button", name="Packets").click()
    assert [int(cell.replace(",", "")) for cell in packets.all_inner_texts()] == sorted(shown)
    page.close()


def test_text_has_enough_contrast(browser, pages):
    """WCAG 2.2 AA: 4.5:1 for every text of the page proper, in both schemes."""
    measure = """() => {
      const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map((v) => {
        v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
        return .2126 * r + .7152 * g + .0722 * b; };
      const ground = light(getComputedStyle(document.body).backgroundColor);
      const bad = new Set();
      for (const e of document.querySelectorAll("body *:not(svg *)")) {
        if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
        const ink = light(getComputedStyle(e).color);
        const ratio = (Math.max(ink, ground) + .05) / (Math.min(ink, ground) + .05);
        if (ratio < 4.5) bad.add(e.className + " " + ratio.toFixed(2));
      }
      return [...bad];
    }"""
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        for name in ("reset", "clean_close", "damaged", "index"):
            page.goto((pages / f"{name}.html").as_uri())
            assert page.evaluate(measure) == []
        context.close()


@pytest.mark.parametrize("scripts", [True, False])
def test_the_printout_is_whole(browser, pages, tmp_path, scripts):
    if shutil.which("pdftotext") is None:
        missing("pdftotext")
    context = browser.new_context(java_script_enabled=scripts)
    page = context.new_page()
    page.goto((pages / "clean_close.html").as_uri())
    target = tmp_path / "page.pdf"
    page.pdf(path=target, prefer_css_page_size=True)
    context.close()
    text = subprocess.run(["pdftotext", "-layout", target, "-"], capture_output=True, text=True, check=True).stdout
    for words in ("Packets of connection 1", "max_connections", "TIME-WAIT ledger", "SYN-RECEIVED", "62.510000"):
        assert words in text
    for row in documents.clean_close().connections[0].detail.ladder:
        if row.kind == "segment":
            assert f"{row.time_s:.6f}" in text
    assert "Time-sequence plot of connection" in text
