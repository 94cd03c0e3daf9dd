"""Wireshark display filters for the frames of a finding."""

from __future__ import annotations

from collections.abc import Iterator

from pcapreport.report.filters import frames_filter


def test_a_filter_of_many_frames_is_that_of_its_first_parts() -> None:
    assert frames_filter(()) == ""
    assert frames_filter((7,)) == "frame.number == 7"
    assert frames_filter((7, 8, 9, 11)) == "frame.number in {7..9, 11}"
    assert frames_filter(range(1, 200, 2), most=3) == "frame.number in {1, 3, 5}"


def test_a_filter_is_made_without_reading_all_frames() -> None:
    class Watched(tuple[int, ...]):
        read = 0

        def __iter__(self) -> Iterator[int]:
            for frame in super().__iter__():
                self.read += 1
                yield frame

    frames = Watched(range(1, 200_000, 2))
    frames_filter(frames)
    assert frames.read < 100
