"""Texts know how they were made: whatever language says them, data stays data."""

from __future__ import annotations

import pickle
from typing import Any, get_args

import msgspec
import pytest
from catalogue import forms

from pcapreport.errors import UnreadableCapture, UsageError
from pcapreport.language import (
    Text,
    counted,
    first_sentence,
    further_sentences,
    joined,
    lowered,
    messages_of,
    phrase,
    remembered,
    say,
    sentences,
    speaking,
)
from pcapreport.message import Message
from pcapreport.report.model import Certainty, Confidence, Severity, Side, Status


class _Record(msgspec.Struct):
    summary: str
    names: list[str]


def test_a_text_is_the_english_string() -> None:
    text = phrase("The {side} refused (frame {frame}).", side=phrase("server"), frame=3)
    assert text == "The server refused (frame 3)."
    assert say(text) == text
    assert msgspec.json.encode(_Record(text, [text]), enc_hook=str).count(b"The server refused") == 2


def test_braces_of_a_form_without_parts_are_kept() -> None:
    assert phrase("frame.number in {1, 2}") == "frame.number in {1, 2}"


def test_a_number_chooses_the_form() -> None:
    assert counted(1, "{n:,} packet", "{n:,} packets") == "1 packet"
    assert counted(1200, "{n:,} packet", "{n:,} packets") == "1,200 packets"


def test_first_sentence_is_by_structure_not_by_full_stops() -> None:
    first = phrase("Lost at 10.0.0.1. Really.")
    assert first_sentence(sentences(first, "", phrase("More."))) == first
    assert first_sentence(first) == first


def test_further_sentences_are_what_the_first_leaves() -> None:
    first, second, third = phrase("Lost at 10.0.0.1. Really."), phrase("More of {what}.", what="it"), phrase("End.")
    rest = further_sentences(sentences(first, second, third))
    assert rest == "More of it. End."
    assert isinstance(rest, Text) and rest.message == sentences(second, third).message
    assert further_sentences(first) == ""


def test_a_title_is_lowered_in_english_only() -> None:
    names = joined([lowered("TIME-WAIT started anew"), lowered("SYN flood")])
    assert names == "time-wait started anew, syn flood"
    assert names.message.items == [Message("TIME-WAIT started anew"), Message("SYN flood")]


def test_a_form_may_be_kept_as_a_text() -> None:
    kept = phrase("frame {frame} came late")
    assert phrase(kept, frame=3) == "frame 3 came late"
    assert type(phrase(kept, frame=3).message.form) is str


def test_a_text_survives_the_way_to_another_process() -> None:
    text = counted(2, "{n} packet", "{n} packets")
    assert pickle.loads(pickle.dumps(text)).message == text.message


def test_messages_round_trip_through_json() -> None:
    text = sentences(phrase("A {x}.", x=joined([phrase("client"), "10.0.0.1"], " and ")), phrase("B."))
    found = messages_of(_Record(text, ["data", text]))
    again = msgspec.json.decode(msgspec.json.encode(found), type=dict[str, Message])
    assert again == found == {str(text): text.message}


def test_what_is_only_a_form_needs_no_message() -> None:
    assert messages_of(_Record(phrase("Nothing."), [])) == {}


def test_data_is_not_translated_even_if_it_looks_like_a_form() -> None:
    with speaking("zh"):
        assert "client" in say(phrase("{name} (frame {frame})", name="client", frame=1))


def test_english_is_spoken_outside() -> None:
    with speaking("zh"):
        pass
    assert say(Text("client")) == "client"


def test_keys_are_texts_as_well() -> None:
    kind = phrase("link type {number} ({name})", number=105, name="IEEE 802.11")
    assert messages_of({kind: 3}) == {str(kind): kind.message}


def test_a_text_of_a_saved_document_is_remembered() -> None:
    text = phrase("Frame {frame} again.", frame=7)
    again = remembered(str(text), messages_of([text]))
    assert isinstance(again, Text) and again.message == text.message
    assert not isinstance(remembered("data", {}), Text)


def test_an_error_keeps_how_its_message_was_made() -> None:
    error = UnreadableCapture("x.pcap", phrase("is empty (0 bytes)"), phrase("capture again"), 3)
    assert str(error) == "x.pcap: byte 3: is empty (0 bytes); capture again" == error.message
    assert isinstance(pickle.loads(pickle.dumps(error)).message, Text)
    assert isinstance(UsageError(phrase("{path}: no such file", path="x")).message, Text)
    assert UsageError("plain").message == "plain"


@pytest.mark.parametrize("words", [Side, Severity, Confidence, Certainty, Status], ids=str)
def test_words_of_closed_lists_are_gathered(words: Any) -> None:
    assert set(get_args(words)) <= {form if isinstance(form, str) else form[0] for form in forms()}
