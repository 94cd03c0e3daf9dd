"""Whatever a document says in words of ours is gathered for translators."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import catalogue
import pytest

from pcapreport import analyze
from pcapreport.language import BETWEEN_SENTENCES
from pcapreport.message import Message
from pcapreport.tcp.states import rule_texts

SAMPLES = sorted((catalogue.ROOT / "sample_pcaps").glob("*.pcap*"))


@pytest.fixture(scope="module")
def gathered() -> set[str]:
    found = {form if isinstance(form, str) else form[0] for form in catalogue.forms()}
    return found | {BETWEEN_SENTENCES}


def _forms(message: Message) -> Iterator[str]:
    yield message.form
    for part in (*message.parts.values(), *message.items):
        if isinstance(part, Message):
            yield from _forms(part)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_form_in_a_document_is_gathered(path: Path, gathered: set[str]) -> None:
    told = analyze(path).messages.values()
    assert told
    assert {form for message in told for form in _forms(message)} <= gathered


def test_what_the_rules_of_transitions_say_is_gathered(gathered: set[str]) -> None:
    assert {form for text in rule_texts().values() for form in _forms(text.message)} <= gathered
