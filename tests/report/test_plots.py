"""Time-sequence plots: deterministic, thinned, fit for a page."""

import re
import sys

import documents
import pytest

from pcapreport.report.model import Series
from pcapreport.report.plots import thinned, time_sequence, worth_plotting

SERIES = documents.clean_close().connections[0].detail.series


def plot(series=SERIES, vertices=2_000):
    return time_sequence(series, "server", "c-1-server", "A plot", "What it shows", vertices)


def test_the_plot_is_fit_for_a_page():
    pytest.importorskip("matplotlib")
    svg = plot()
    assert svg.startswith('<svg role="img"')
    assert "<title>A plot</title><desc>What it shows</desc>" in svg
    assert not re.search(r"style=|<style|<metadata|xmlns|https?:|<\?xml|<!DOCTYPE|#000000|\d{4}-\d\d-\d\d", svg)
    assert all(value.startswith("c-1-server-") for value in re.findall(r' id="([^"]*)"', svg))
    references = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg)
    assert {a or b for a, b in references} <= set(re.findall(r' id="([^"]*)"', svg))
    words = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {w for w in words if re.search("[a-z]", w)} == {"s", "bytes"}


def test_the_plot_is_the_same_every_time():
    pytest.importorskip("matplotlib")
    assert plot() == plot()


def test_many_points_are_thinned_and_extremes_stay():
    many = Series(sender="server", kind="data", time_s=[float(i) for i in range(50_000)], value=[*range(50_000)])
    many.value[31_234] = 10**9
    times, values = thinned(many, 2_000)
    assert len(times) == len(values) <= 2_000
    assert 10**9 in values and times == sorted(times)
    assert thinned(SERIES[0], 2_000) == (SERIES[0].time_s, SERIES[0].value)
    pytest.importorskip("matplotlib")
    assert len(plot([many])) < 250_000


def test_nothing_is_drawn_without_points_or_without_matplotlib(monkeypatch):
    assert time_sequence([], "server", "p", "t", "d") == ""
    assert time_sequence(SERIES, "client", "p", "t", "d") == ""
    assert worth_plotting(SERIES, "server") and not worth_plotting(SERIES, "client")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert plot() == ""
