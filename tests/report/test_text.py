"""The ladder and the summaries as text."""

import re

import documents
import pytest

from pcapreport.report.ladder_text import ladder_text, summary_text
from pcapreport.report.summary import MOST_CHARACTERS, escaped, render_markdown


def test_the_ladder_of_a_refused_connection():
    assert ladder_text(documents.refused().connections[0], width=88) == (
        "     time, s client 192.0.2.10:40001                   server 198.51.100.80:80     frame\n"
        "    0.000000     SYN-SENT │──────────── SYN seq 0 ─────────────▶│ CLOSED               1\n"
        "    0.000180       CLOSED │◀─────── RST, ACK seq 0 ack 1 ───────│                      2\n"
        "                          │        ◆ connection refused         │\n"
    )


@pytest.mark.parametrize("width", [40, 72, 100, 160])
@pytest.mark.parametrize("name", [n for n in documents.DOCUMENTS if n != "empty"])
def test_lines_fit_and_hold_no_control_characters(name, width):
    text = ladder_text(documents.DOCUMENTS[name]().connections[0], width)
    body = [line for line in text.splitlines() if "│" in line]
    assert body and all(len(line) <= max(width, 72) for line in body)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)


def test_states_are_written_where_they_change_on_both_sides():
    text = ladder_text(documents.clean_close().connections[0])
    client = [line[13:25].strip() for line in text.splitlines()[1:] if line[13:25].strip()]
    assert client == ["SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]


def test_lines_differ_for_what_was_sent_again_folded_or_not_captured():
    text = ladder_text(documents.reset().connections[0])
    assert re.search(r"◀═+ 12 segments, 16,384 bytes", text)
    assert re.search(r"◀·+ ACK .*\(not captured\)", text)
    assert re.search(r"◀╌+ ACK .*\n.*▪ retransmission", text)
    assert "31.48 s without a segment" in text


def test_without_details_the_histories_are_listed():
    text = ladder_text(documents.reset().connections[1])
    assert text.startswith("client:\n  SYN-SENT         0.000000  proven    frame 1  client_sends_syn\n")


def test_the_summary_names_verdict_counts_findings_and_connections():
    text = summary_text(documents.reset())
    for words in (
        "The client broke the connection off",
        "Side at fault: client; confidence: medium",
        "45 packets read: 42 TCP, 2 ARP, 1 UDP; 2 connections",
        "◆ error   client  reset_with_data_outstanding",
        "[frames 2, 4, 6, 8, 10, 12 …]",
        "192.0.2.10:40001 > 198.51.100.80:80",
    ):
        assert words in text
    assert "\x1b" not in summary_text(documents.hostile())


@pytest.mark.parametrize("name", documents.DOCUMENTS)
def test_markdown_tables_have_as_many_cells_in_each_row(name):
    text = render_markdown(documents.DOCUMENTS[name]())
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(counts) == 1
    assert len(text) < MOST_CHARACTERS


def test_markdown_leaves_no_hostile_text_alive():
    text = render_markdown(documents.hostile())
    outside_code = re.sub(r"`[^`\n]*`", "", text.replace("\\`", ""))
    assert "<script" not in outside_code and "<img" not in outside_code
    assert not re.search(r"@\w|[\x00-\x09\x0b-\x1f\u202e]", outside_code)
    assert escaped("[x](http://y) @me #1") == "\\[x\\](http:\u200b//y) @\u200bme #\u200b1"


def test_a_damaged_capture_says_so_in_text():
    assert "damaged or cut short" in render_markdown(documents.damaged())
    assert "damaged or cut short" in summary_text(documents.damaged())
