"""The page as PDF: whole, the same bytes each time, without a request; and what is said where it cannot be made."""

import importlib
import os
import re
import shutil
import socket
import subprocess
import sys
import zlib
from functools import cache
from html.parser import HTMLParser

import documents
import msgspec
import pytest
from click.testing import CliRunner
from test_in_browser import missing

from pcapreport import errors
from pcapreport.cli import cli
from pcapreport.report import model, pdf
from pcapreport.report.html import render_html


@pytest.fixture(autouse=True)
def library():
    """WeasyPrint, with the Pango that it loads."""
    try:
        importlib.import_module("weasyprint")
    except (ImportError, OSError) as error:
        missing(f"WeasyPrint or its Pango ({error})")


class Cells(HTMLParser):
    """The text of each cell of each table; of an inner table's row within a cell, the cell's as well."""

    def __init__(self):
        super().__init__()
        self.found, self._open = [], []

    def handle_starttag(self, tag, attributes):
        if tag in ("td", "th"):
            self._open.append("")

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self._open:
            self.found.append(self._open.pop())

    def handle_data(self, data):
        self._open = [text + data for text in self._open]


def words(made: bytes, tmp_path, *options: str) -> str:
    """What stands in a PDF, in the order in which it is drawn, without any white space."""
    if shutil.which("pdftotext") is None:
        missing("pdftotext")
    (tmp_path / "page.pdf").write_bytes(made)
    told = subprocess.run(
        ["pdftotext", *options, tmp_path / "page.pdf", "-"], capture_output=True, text=True, check=True
    )
    return re.sub(r"\s", "", told.stdout)


def inflated(made: bytes):
    """The contents of each compressed stream of a PDF."""
    for stream in re.findall(rb"/FlateDecode.*?stream\n(.*?)\nendstream", made, re.S):
        yield zlib.decompress(stream)


@cache
def printed(name: str) -> bytes:
    """Of a document the PDF, which takes seconds to make."""
    return pdf.render_pdf(documents.DOCUMENTS[name]())


@pytest.mark.parametrize("name", ["clean_close", "hostile", "time_wait_restart"])
def test_each_cell_of_each_table_is_on_paper(name, tmp_path):
    page, text = Cells(), words(printed(name), tmp_path, "-raw")
    page.feed(render_html(documents.DOCUMENTS[name]()))
    cells = {re.sub(r"\s", "", cell) for cell in page.found}
    assert len(cells) > 50
    assert [cell for cell in cells if cell not in text] == []


def test_title_language_page_numbers_and_the_name_in_the_margin(tmp_path):
    made = printed("clean_close")
    assert b"/Lang (en)" in b"".join(inflated(made))
    if shutil.which("pdfinfo") is None:
        missing("pdfinfo")
    (tmp_path / "page.pdf").write_bytes(made)
    told = subprocess.run(["pdfinfo", tmp_path / "page.pdf"], capture_output=True, text=True, check=True).stdout
    assert re.search(r"Title: +evening/web-01.pcapng – TCP capture report", told)
    assert re.search(r"Tagged: +yes", told) and "CreationDate" not in told
    pages = int(re.search(r"Pages: +(\d+)", told)[1])
    assert re.search(r"Page size: +595\S* x 841\S* pts \(A4\)", told)
    for number in (1, pages):
        shown = words(made, tmp_path, "-f", str(number), "-l", str(number))
        assert f"{number}/{pages}" in shown and "evening/web-01.pcapng" in shown


def test_a_hostile_name_in_the_margin_stays_a_string():
    page = render_html(documents.hostile())
    (rule,) = re.findall(r"@page \{ @bottom-left \{ content: (.*); \} \}</style>", page)
    assert re.fullmatch(r'"(?:[A-Za-z0-9]|\\[0-9a-f]+ )+"', rule)


def test_the_same_document_makes_the_same_bytes(tmp_path):
    (tmp_path / "one.json").write_bytes(model.encode(documents.refused()))
    made = []
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "pcapreport", "render", "one.json", "--format", "pdf,zip", "-o", seed]
        env = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True)
        made.append([(tmp_path / seed / f"one.{name}").read_bytes() for name in ("pdf", "zip")])
    assert made[0] == made[1]
    assert made[0][0].startswith(b"%PDF-")


def test_whatever_a_template_asks_for_is_refused(monkeypatch, tmp_path):
    secret = tmp_path / "secret.svg"
    secret.write_text('<svg xmlns="http://www.w3.org/2000/svg"><text y="9">SECRET</text></svg>')
    (tmp_path / "report.html.jinja").write_text(
        f'<link rel="stylesheet" href="http://192.0.2.1/x.css"><img src="{secret.as_uri()}" alt="nothing">'
        '<img src="http://192.0.2.1/x.png"><a rel="attachment" href="file:///etc/hostname">x</a><p>Text</p>'
    )

    def never(*_arguments, **_options):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", never)
    text = words(pdf.render_pdf(documents.empty(), tmp_path), tmp_path)
    assert "Text" in text and "SECRET" not in text


def test_a_short_page_is_printed_too():
    document = documents.refused()
    ticket = msgspec.structs.replace(document, options={**document.options, "profile": "ticket"})
    assert pdf.render_pdf(ticket).startswith(b"%PDF-")


def test_of_a_page_too_large_to_be_printed_a_shorter_one_is(monkeypatch):
    asked = []
    monkeypatch.setattr(pdf, "render_html", lambda document, templates, most: asked.append(most) or "x" * most)
    monkeypatch.setattr(pdf, "_printed", lambda page: page.encode())
    document = documents.refused()
    assert len(pdf.render_pdf(document)) == pdf.MOST_PRINTED
    small = msgspec.structs.replace(document, options={"max_size": 1000})
    assert len(pdf.render_pdf(small)) == 1000
    monkeypatch.setattr(pdf, "_printed", lambda page: b"fonts" * 150 + page.encode())
    assert len(pdf.render_pdf(small)) == 1000 and asked[-3:] == [1000, 500, 250]


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        ("weasyprint", "--format pdf needs WeasyPrint; pip install 'pcapreport[pdf]'"),
        ("pango", "--format pdf: WeasyPrint cannot start (cannot load library 'libpango'); install Pango"),
    ],
)
@pytest.mark.parametrize("formats", ["pdf", "html,pdf,zip"])
def test_without_the_library_one_line_says_so_before_anything_is_read(lacking, told, formats, monkeypatch, tmp_path):
    def broken(name):
        raise OSError("cannot load library 'libpango'.\nmore")

    if lacking == "weasyprint":
        monkeypatch.setitem(sys.modules, "weasyprint", None)
    else:
        monkeypatch.setattr(pdf.importlib, "import_module", broken)
    (tmp_path / "one.json").write_bytes(model.encode(documents.refused()))
    out = tmp_path / "out"
    for command in (["report", str(tmp_path)], ["render", str(tmp_path / "one.json")]):
        shown = CliRunner().invoke(cli, [*command, "--format", formats, "-o", str(out)])
        assert isinstance(shown.exception, errors.UsageError)
        assert str(shown.exception).startswith(told) and "\n" not in str(shown.exception)
    assert not out.exists()
