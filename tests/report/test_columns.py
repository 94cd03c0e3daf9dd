"""How much room a text takes, and how it is put into that room."""

from __future__ import annotations

import textwrap

import pytest

from pcapreport.report.columns import beginning, columns, padded, wrapped
from pcapreport.report.wording import short

MIXED = "服务器在 SYN 之后 248 ms 重传了该报文段（帧 22），“首次传输”经过了捕获点；之后一切正常。"


def test_a_chinese_character_is_as_wide_as_two_latin_ones():
    assert columns("TIME-WAIT, 60 s …") == 17
    assert columns("帧 22：重传") == 2 + 3 + 2 + 4


def test_padding_fills_the_same_columns_in_any_language():
    assert [padded("ab", 5), padded("ab", 5, ">"), padded("ab", 5, "^")] == ["ab   ", "   ab", " ab  "]
    assert [padded("帧", 5), padded("帧", 5, ">"), padded("帧", 5, "^")] == ["帧   ", "   帧", " 帧  "]
    assert padded("too long", 3) == "too long"


@pytest.mark.parametrize("room", range(1, 12))
def test_a_beginning_fits_and_is_as_long_as_may_be(room):
    cut = beginning("a帧b帧帧c", room)
    assert columns(cut) <= room and "a帧b帧帧c".startswith(cut)
    assert cut == "a帧b帧帧c" or columns(cut) >= room - 1


def test_what_is_cut_says_so_and_fits():
    assert short("重传的报文段", 6) == "重传…"
    assert short("retransmission", 6) == "retra…"
    assert short("重传", 4) == "重传"


@pytest.mark.parametrize("room", [2, 5, 8, 13, 20, 40, 200])
def test_lines_fit_lose_nothing_and_do_not_begin_with_a_stop(room):
    lines = wrapped(MIXED, room)
    assert "".join("".join(lines).split()) == "".join(MIXED.split())
    assert all(columns(line) <= max(room, 4) for line in lines)
    if room >= 13:
        assert not any(line[0] in "，；。）”" or line[-1] in "（“" for line in lines)


@pytest.mark.parametrize("room", [5, 20, 60])
def test_without_wide_characters_lines_are_as_always(room):
    text = "The server sent 1 segment again (frame 22) after waiting in vain, 248 ms later."
    assert wrapped(text, room) == textwrap.wrap(text, room)
    assert wrapped("", room) == []
