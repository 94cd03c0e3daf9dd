"""Numbers, times and hostile text as words."""

import pytest

from pcapreport.report.wording import duration, dwell, frame_filter, frame_list, interval, moment, runs, size, visible


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "unknown"),
        (0.0, "0 s"),
        (1e-9, "1 ns"),
        (999e-9, "999 ns"),
        (1.2345e-5, "12.35 µs"),
        (0.000999996, "1 ms"),
        (0.1 + 0.2, "300 ms"),
        (0.999999, "1 s"),
        (1.5, "1.5 s"),
        (61.2345, "61.23 s"),
        (119.99, "120 s"),
        (120.0, "2 min"),
        (125.3, "2 min 5.3 s"),
        (7300.0, "2 h 2 min"),
        (1e6, "11 d 14 h"),
        (-0.002, "-2 ms"),
    ],
)
def test_a_duration_has_the_unit_that_fits_and_no_float_noise(seconds, words):
    assert duration(seconds) == words


def test_moments_have_six_decimals_or_nine_where_nanoseconds_were_recorded():
    assert moment(0.1 + 0.2) == "0.300000"
    assert moment(1.000000001) == "1.000000001"
    assert moment(None) == ""


def test_intervals_say_which_end_is_open():
    assert interval((None, None)) == "unknown"
    assert interval((1.0, None)) == "from 1.000000"
    assert interval((None, 2.0)) == "by 2.000000"
    assert interval((1.0, 1.0)) == "1.000000"
    assert interval((1.0, 2.0)) == "1.000000 to 2.000000"


def test_dwell_is_bounded_by_both_intervals():
    assert dwell((1.0, 1.0), (3.0, 3.0)) == "2 s"
    assert dwell((1.0, 2.0), (3.0, 4.0)) == "1 s to 3 s"
    assert dwell((1.0, 2.0), (1.5, 4.0)) == "up to 3 s"
    assert dwell((1.0, 2.0), (3.0, None)) == "at least 1 s"
    assert dwell((1.0, 2.0), (2.0, None)) == ""
    assert dwell((None, None), (3.0, None)) == ""


def test_frames_are_written_as_runs_and_as_a_filter():
    assert runs([7, 5, 6, 6, 1]) == [(1, 1), (5, 7)]
    assert frame_list([1, 5, 6, 7, 9, 10]) == "1, 5–7, 9, 10"
    assert frame_list([1, 3, 5], limit=2) == "1, 3 …"
    assert frame_filter([4]) == "frame.number == 4"
    assert frame_filter([1, 5, 6, 7]) == "frame.number in {1, 5..7}"
    assert frame_filter([4, 5]) == "frame.number in {4..5}"


def test_sizes_keep_three_digits():
    assert [size(n) for n in (0, 999, 1_000, 1_234_567, 10**9)] == ["0 B", "999 B", "1 kB", "1.23 MB", "1 GB"]


def test_nothing_invisible_or_reordering_stays_as_it_is():
    assert visible("plain, 中文, µ") == "plain, 中文, µ"
    assert visible("x" * 1_000_000) == "x" * 4_000 + "… (996,000 more characters)"
    assert visible("a\x1b[2J\u202eb\u200b\ud800\n\x85") == "a\\x1b[2J\\u202eb\\u200b\\ud800\\n\\x85"
