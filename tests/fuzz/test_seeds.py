"""The seeds themselves, through the harness's own function: sound captures that reach every layer, and many mutants."""

from __future__ import annotations

import ast
from pathlib import Path
from random import Random

import pytest

from .mutations import mutate
from .promise import Depth, keep_for
from .seeds import seeds, write_seeds

SEEDS = dict(seeds())


@pytest.mark.parametrize("name", SEEDS)
def test_every_seed_gives_a_page(name: str) -> None:
    capture = keep_for(SEEDS[name], Depth.PAGE)
    assert capture is not None and capture.complete


def test_the_seeds_are_written_once_each_under_their_names(tmp_path: Path) -> None:
    assert write_seeds(tmp_path / "new") == len(SEEDS)
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == SEEDS


def test_a_mutation_is_another_capture_but_the_same_for_the_same_number() -> None:
    plain = SEEDS["plain.pcap"]
    made = [mutate(plain, Random(number)) for number in range(100)]
    assert made == [mutate(plain, Random(number)) for number in range(100)]
    assert len(set(made) - {plain}) > 80
    assert sum(keep_for(data, Depth.TABLE) is not None for data in made) > 60, "most must get past the first check"


def test_the_harness_says_its_promise_first_and_needs_only_atheris_beside_ourselves() -> None:
    source = (Path(__file__).parent / "fuzz_read_capture.py").read_text("utf-8")
    words = (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]
    assert words.startswith("Any bytes give a table with notes or one UnreadableCapture, never another exception")
