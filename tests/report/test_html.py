"""The page: self-contained, hostile text harmless, complete, the same every time."""

import html.parser
import re

import documents
import msgspec
import pytest

from pcapreport.batch.index import IndexEntry, entry_of, index_document, worst_first
from pcapreport.batch.index_pages import render_index
from pcapreport.report import model
from pcapreport.report.html import render_html, script_hash
from pcapreport.report.ladder_text import summary_text
from pcapreport.report.summary import render_markdown

VOID = {"meta", "link", "br", "wbr", "img", "input", "hr"}


class Page(html.parser.HTMLParser):
    """Elements, their attributes, and whether every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"attribute twice in {tag}: {names}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module", params=documents.DOCUMENTS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def text(name):
    return render_html(documents.DOCUMENTS[name]())


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_elements_nest_and_ids_are_unique(page):
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for a in page.all("a") if (a.get("href") or "").startswith("#")}
    assert targets <= set(ids)


def test_the_page_asks_for_nothing(text, page):
    assert not re.search(r"https?:|url\(|@import|srcset=", text)
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form", "img"}
        assert "src" not in attributes
        assert not any(key.startswith("on") for key in attributes)
        assert (attributes.get("href") or "#").startswith("#")


def test_the_policy_allows_exactly_the_script(text):
    script = re.search(r"<script[^>]*>(.*?)</script>", text, re.S)[1]
    assert text.count("<script") == 1
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src '{script_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in text
    assert len(script) < 8_192


def test_drawings_survive_without_styles(text, page):
    for drawing in re.findall(r"<svg.*?</svg>", text, re.S):
        assert re.match(r'<svg role="(?:img|group)"[^>]*><title>[^<]+</title><desc>[^<]+</desc>', drawing)
        assert not re.search(r"\sstyle=|\sclass=|<style|<metadata|xmlns|<\?xml", drawing)
    assert not any("style" in attributes for _, attributes in page.elements)


def test_structure_for_readers_of_every_kind(page):
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))


def test_the_same_document_gives_the_same_bytes(name, text):
    assert render_html(documents.DOCUMENTS[name]()) == text


def test_no_float_noise_and_no_unmeasured_values(page):
    shown = " ".join(page.text)
    assert not re.search(r"\d\.\d{10,}|\bNone\b|\bnan\b|\d e-\d", shown)


def test_hostile_text_is_shown_and_does_nothing():
    text = render_html(documents.hostile())
    page = Page(text)
    assert "alert(1)" in "".join(page.text)
    assert len(page.all("script")) == 1 and not page.all("img")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", text)
    assert "\\u202e" in text and "49" not in re.findall(r"\{\{7\*7\}\}|\b49\b", text)


def test_a_damaged_capture_says_so_before_its_verdict():
    text = render_html(documents.damaged())
    assert text.index("damaged or cut short") < text.index('class="verdict"')
    assert "byte 24,758" in text


def test_an_empty_capture_has_no_empty_sections():
    page = Page(render_html(documents.empty()))
    assert "No TCP connection." in "".join(page.text)
    assert [a["id"] for a in page.all("h2")] == ["verdict", "capture"]


def test_the_first_screen_answers_before_anything_else():
    text = render_html(documents.refused())
    order = [text.index(words) for words in ("The server refused", "side at fault", "Frame <a", "cannot tell", "<nav")]
    assert order == sorted(order)
    assert "frame.number in {1..2}" in text


def test_frames_lead_to_their_rows():
    page = Page(render_html(documents.clean_close()))
    links = {a["href"] for a in page.all("a") if re.fullmatch(r"#f\d+", a.get("href") or "")}
    assert {"#f1", "#f2", "#f19", "#f22"} <= links
    assert {"f1", "f4", "f5", "f22"} <= {a.get("id") for a in page.all("tr")}


def test_connections_without_details_are_counted_in_words():
    page = render_html(documents.reset())
    assert "1 other is in this table only. Connections that are alike" in page
    assert "--max-connections N shows more. The JSON has the histories of them all." in page


def test_long_tables_are_cut_in_words():
    base = documents.reset()
    plain = base.connections[1]
    many = [msgspec.structs.replace(plain, id=i, anchor=f"c-{i}") for i in range(1, 702)]
    text = render_html(msgspec.structs.replace(base, connections=many, totals=documents.totals(many, [])))
    assert "201 more connections not listed here; the JSON has them all." in text
    assert len(text.encode()) < 2**20


def test_thirty_connections_in_detail_stay_below_a_megabyte():
    one = documents.clean_close().connections[0]
    many = [msgspec.structs.replace(one, id=i, anchor=f"c-{i}") for i in range(1, 31)]
    base = documents.clean_close()
    assert len(render_html(msgspec.structs.replace(base, connections=many)).encode()) < 2**20


def test_templates_of_a_directory_come_first(tmp_path):
    (tmp_path / "report.html.jinja").write_text("{{ document.verdict.text }} & {{ '<' }}")
    assert render_html(documents.refused(), tmp_path) == "The server refused the connection: port 80 is closed. & &lt;"


def index_entries() -> list[IndexEntry]:
    made = [entry_of(make(), f"{name}.pcap", f"{name}.pcap.html", f"{name}.pcap.json")
            for name, make in documents.DOCUMENTS.items()]  # fmt: skip
    made.append(IndexEntry(file="a.txt", status="unreadable", message="a.txt: byte 0: not a capture; convert it"))
    made.append(IndexEntry(file='x" onclick="y.pcap', status="ok", report='javascript:alert("1")', verdict="Nothing."))
    return made


def test_the_index_adds_up_and_puts_the_worst_first():
    text = render_index(index_entries())
    assert "9 captures: 6 read whole, 2 damaged, 1 unreadable; of those read, 3 with errors at worst" in text
    assert [e.file for e in worst_first(index_entries())][:4] == [
        "a.txt", "hostile.pcap", "refused.pcap", "reset.pcap",
    ]  # fmt: skip
    page = Page(text)
    assert page.open == []
    assert all(not (a.get("href") or "").startswith("javascript:") for a in page.all("a"))
    assert not any("onclick" in attributes for _, attributes in page.elements)


def test_index_json_is_the_page_in_order():
    data = msgspec.json.decode(b"".join(index_document(worst_first(index_entries()))))
    assert data["captures"][0]["status"] == "unreadable"
    assert len(data["captures"]) == 9
    assert data["summary"].startswith("9 captures:")


def test_an_index_without_captures_says_so():
    assert "No capture was found." in render_index([])


@pytest.mark.parametrize("text", ["x", "<script>alert(1)</script>", "\u202e", "]]>", "{{ 7*7 }}", "\x1b[2J"])
def test_a_megabyte_in_every_text_field_is_shown_by_its_beginning(text):
    long = text * (2**20 // len(text))
    base = documents.clean_close()
    capture = msgspec.structs.replace(
        base.capture,
        file=long,
        application=long,
        os=long,
        hardware=long,
        comments=[model.Comment(frame=0, text=long)],
        problems=[model.Problem(code="c", message=long)],
        other_packets={long: 1},
    )
    document = msgspec.structs.replace(base, capture=capture, meta={long: long})
    page = render_html(document)
    assert len(page) < 2**20
    assert "<script>alert" not in page and "\x1b" not in page and "\u202e" not in page
    assert "49" not in re.findall(r"<h1>.*?</h1>", page, re.S)[0]
    markdown = render_markdown(document)
    assert len(markdown) < 65_000 and "\x1b" not in markdown
    told = summary_text(document)
    assert "\x1b" not in told and "\u202e" not in told and len(told) < 100_000
