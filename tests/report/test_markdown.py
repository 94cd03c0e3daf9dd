"""The Markdown as ticket systems read it: tables are tables, nothing else is markup, and it fits into a comment."""

import itertools
import pathlib
import re

import documents
import msgspec
import pytest

import pcapreport
from pcapreport.report import model
from pcapreport.report.summary import MOST_CHARACTERS, ROOMS, escaped, render_markdown

markdown_it = pytest.importorskip("markdown_it")
SAMPLES = sorted(
    path for path in (pathlib.Path(__file__).parents[2] / "sample_pcaps").iterdir() if ".pcap" in path.suffixes
    or path.suffix == ".pcapng"
)  # fmt: skip
NEVER = {"html_block", "html_inline", "link_open", "image", "fence", "code_block", "blockquote_open", "hr", "s_open"}
"""Kinds of markup that no summary has."""
LIVE = re.compile(
    r"[@#]\w|[!$%&~^][\w\"']|https?://|\bwww\.|[\w.+-]+@[\w-]+\.\w|:(?:\+1|tada|100|1234|smile):",
    re.IGNORECASE,
)
"""What becomes a mention, a reference, a link, a quick action or an emoji in the text that is shown."""
TRAPS = (
    "@all #1 !1 $1 %1 &1 ~bug ^1 GH-1 a/b#3 user@example.com http://x.example https://y.example www.z.example "
    "WWW.Z.EXAMPLE ftp://f.example <http://a.example> ![i](http://i) [l](http://l) [r][x] [^1] :tada: :+1: fe80:100::1 "
    "**b** __u__ ~~s~~ ~s~ `c` $x$ {color:red} <b>b</b> <!-- c --> &lt; &#64;all a|b \\| \\\\| \\` `a\\|b` ||h|| *x"
)
BEGINNINGS = ("- x", "+ x", "* x", "1. x", "7) x", "# x", "> x", "---", "===", "/close", "    x", "~~~", "```x")
BEGINNINGS += ("|a|b|", "\\", "")


def parsers():
    for html, linkify in itertools.product((False, True), (False, True)):
        options = {"html": html, "linkify": linkify}
        parser = markdown_it.MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
        if linkify:
            parser.enable("linkify")
            parser.linkify.set({"fuzzy_link": False, "fuzzy_ip": False})  # file names are no host names
        yield parser


def checked(text: str) -> list:
    """The tokens of one parse, after all that must hold of each."""
    assert not re.search(r"^/", text, re.M), "a quick action"
    for parser in parsers():
        tokens = parser.parse(text)
        inner = [child for token in tokens for child in token.children or ()]
        assert not {token.type for token in (*tokens, *inner)} & NEVER
        assert not [token for token in tokens if token.type.endswith("list_open") and token.level > 0]
        shown = [child.content for child in inner if child.type == "text"]
        assert not [words for words in shown if LIVE.search(words)]
        for cells in rows(tokens):
            assert len(set(cells)) == 1
        assert sum(len(cells) for cells in rows(tokens)) == len(re.findall(r"^\|(?! ---)", text, re.M))
    return tokens


def rows(tokens: list) -> list[list[int]]:
    """Of each table the number of cells in each row."""
    tables: list[list[int]] = []
    for token in tokens:
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append(0)
        elif token.type in ("td_open", "th_open"):
            tables[-1][-1] += 1
    return tables


def ticket(document: model.Document) -> model.Document:
    return msgspec.structs.replace(document, options={**document.options, "profile": "ticket"})


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_of_every_sample(path):
    document = pcapreport.analyze(path)
    heads = [token.content for token in checked(render_markdown(ticket(document))) if token.type == "inline"]
    assert "Findings that begin here" in heads and "Opening" in heads
    checked(render_markdown(document))


@pytest.mark.parametrize("name", documents.DOCUMENTS)
def test_of_documents_made_by_hand(name):
    document = documents.DOCUMENTS[name]()
    checked(render_markdown(document))
    checked(render_markdown(ticket(document)))


def with_text(text: str) -> model.Document:
    """A document that has it wherever a summary shows what is not ours."""
    hostile = msgspec.json.decode(model.encode(documents.hostile()))

    def swapped(value):
        if isinstance(value, dict):
            return {swapped(key): swapped(one) for key, one in value.items()}
        if isinstance(value, list):
            return [swapped(one) for one in value]
        return text if value == documents.HOSTILE else value

    return ticket(msgspec.convert(swapped(hostile), model.Document))


@pytest.mark.parametrize("text", [*TRAPS.split(" "), *BEGINNINGS, *(TRAPS[at:] for at in range(0, len(TRAPS), 97))])
def test_no_text_of_a_capture_becomes_markup(text):
    checked(render_markdown(with_text(text)))


def test_what_is_escaped_is_shown_as_it_was():
    for text in (TRAPS, *BEGINNINGS[:-1], "1.5 s", "-3", "a & b", "100 %", "fe80::1:2", "10:20:30", "(x) + y!"):
        for parser in parsers():
            tokens = [child for token in parser.parse(f"- {escaped(text)}") for child in token.children or ()]
            shown = "".join(child.content for child in tokens)
            assert shown.replace("\u200b", "") == " ".join(text.split())
    assert escaped("1.5 s at 10:20:30 (fe80::1:2), 100 % + 3!") == "1.5 s at 10:20:30 (fe80::1:2), 100 % + 3!"


@pytest.mark.parametrize("text", ["x" * 5_000, "|" * 5_000, "<&>" * 2_000, "`\\|" * 2_000, "@a " * 2_000])
def test_it_fits_into_a_comment_however_long_its_texts(text):
    document = with_text(text)
    many = [msgspec.structs.replace(document.connections[0], id=number) for number in range(1, 300)]
    crowded = msgspec.structs.replace(
        document,
        connections=many,
        findings=document.findings * 200,
        verdict=msgspec.structs.replace(document.verdict, evidence=[text] * 200, cannot_know=[text] * 200),
    )
    crowded = msgspec.structs.replace(crowded, totals=documents.totals(crowded.connections, crowded.findings))
    made = render_markdown(crowded)
    assert len(made) < MOST_CHARACTERS
    assert "more connections not listed; the JSON has them all" in made and "more findings not listed" in made
    assert document.capture.sha256 in made
    checked(made)


def test_it_keeps_to_the_size_that_is_allowed():
    document = with_text("word " * 100)
    sizes = []
    for most in (1 << 20, 20_000, 10_000, 5_000, 3_000):
        made = render_markdown(msgspec.structs.replace(document, options={"max_size": most}))
        assert len(made.encode()) <= most
        checked(made)
        sizes.append(len(made))
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 10_000
    assert [room.rows for room in ROOMS] == sorted((room.rows for room in ROOMS), reverse=True)
