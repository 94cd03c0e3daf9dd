"""The plots: deterministic, thinned, fit for a page; limits and ticks as matplotlib has them."""

import re
import subprocess
import sys
from pathlib import Path

import documents
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapreport.report import chart, plots
from pcapreport.report.model import Activity, RoundTrips, Series
from pcapreport.report.plots import thinned, time_sequence, worth_plotting

SERIES = documents.clean_close().connections[0].detail.series


def plot(series=SERIES, vertices=2_000):
    return time_sequence(series, "server", "A plot", "What it shows", vertices)


def test_the_plot_is_fit_for_a_page():
    svg = plot()
    assert svg.startswith('<svg role="img"')
    assert "<title>A plot</title><desc>What it shows</desc>" in svg
    assert not re.search(r"style=|<style|<metadata|xmlns|https?:|<\?xml|<!DOCTYPE|#000000|\d{4}-\d\d-\d\d", svg)
    assert not re.search(r" id=|href=|url\(", svg)
    words = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {w for w in words if re.search("[a-z]", w)} == {"s", "bytes"}


def test_the_plot_is_the_same_every_time():
    assert plot() == plot()


def test_many_points_are_thinned_and_extremes_stay():
    many = Series(sender="server", kind="data", time_s=[float(i) for i in range(50_000)], value=[*range(50_000)])
    many.value[31_234] = 10**9
    times, values = thinned(many, 2_000)
    assert len(times) == len(values) <= 2_000
    assert 10**9 in values and times == sorted(times)
    assert thinned(SERIES[0], 2_000) == (SERIES[0].time_s, SERIES[0].value)
    assert len(plot([many])) < 100_000


def test_nothing_is_drawn_without_points():
    assert time_sequence([], "server", "t", "d") == ""
    assert time_sequence(SERIES, "client", "t", "d") == ""
    assert plots.pace([], "t", "d") == plots.timeline([], "t", "d") == plots.population([], "t", "d") == ""
    assert worth_plotting(SERIES, "server") and not worth_plotting(SERIES, "client")


def test_every_shape_lies_within_the_drawing():
    document = documents.clean_close()
    traffic = Activity(span_s=0.5, packets=[3, 0, 9], bytes=[180, 0, 4000])
    trips = RoundTrips(up_to_ms=[1, 2, None], connections=[3, 0, 4])
    for svg in (
        plot(),
        plots.pace([*SERIES, Series(sender="server", kind="rate", time_s=[0, 1], value=[0, 9])], "t", "d"),
        plots.traffic(traffic, "t", "d"),
        plots.timeline(document.connections, "t", "d"),
        plots.distribution(trips, "t", "d"),
    ):
        width, height = (float(side) for side in re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())
        places = [
            (float(x), float(y))
            for shape in re.findall(r' d="([^"]*)"', svg)
            for x, y in re.findall(r"M(-?[\d.]+) (-?[\d.]+)", shape)
        ]
        assert places and all(0 <= x <= width and 0 <= y <= height for x, y in places)


def test_a_line_keeps_each_value_until_the_next_and_repeats_nothing():
    axis = chart.Axis(0, 10, "", ())
    panel = chart.Panel(0, 0, 10, 10, axis, axis)
    panel.steps([1, 2, 2, 3, 4], [1, 1, 1, 5, 5], "red", 1)
    assert re.search(r' d="([^"]*)"', panel.drawn().split("red")[0])[1] == "M1.0 9.0H2.0H3.0V5.0H4.0"


def test_values_too_large_to_subtract_are_drawn_somehow():
    vast = [Series(sender="server", kind="data", time_s=[0.0, 1.7e308, -1.7e308], value=[0, 2**70, -(2**70)])]
    assert "inf" not in plot(vast) and "nan" not in plot(vast)


THOUSANDTHS = st.integers(-(10**8), 10**8).map(lambda number: number / 1_000)


@settings(deadline=None)
@given(THOUSANDTHS, st.integers(1, 10**6), st.sampled_from([1, 2, 3, 4, 5, 9]))
def test_ticks_are_those_of_matplotlib(start, thousandths, most):
    ticker = pytest.importorskip("matplotlib.ticker")
    low, wide = start + 0.000_333, (thousandths + 0.142_857) / 1_000  # neither end is a round number
    high = low + wide
    theirs = ticker.MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    ours, digits = chart.ticks(low, high, most)
    slack = wide * 1e-6
    assert ours == pytest.approx([at for at in theirs if low <= at <= high], abs=slack)
    assert len({f"{at:.{digits}f}" for at in ours}) == len(ours)


@settings(deadline=None, max_examples=25)
@given(st.lists(THOUSANDTHS, min_size=1, max_size=5))
def test_limits_are_those_of_matplotlib(values):
    figure = pytest.importorskip("matplotlib.figure")
    axes = figure.Figure().add_subplot()
    axes.plot(values, values)
    assert chart.limits(min(values), max(values)) == pytest.approx(axes.get_xlim(), rel=1e-9, abs=1e-9)


def test_a_page_with_plots_takes_no_matplotlib(tmp_path):
    sample = Path(__file__).resolve().parents[2] / "sample_pcaps" / "loss-with-fast-retransmit.pcap"
    code = (
        "import sys, pcapreport\n"
        f"page = pcapreport.render(pcapreport.analyze({str(sample)!r}))\n"
        "assert page.count('pt\"') > 2 and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
