"""Charts: round ticks, labels that do not cover each other, and the same drawing as SVG and as a picture."""

import re
from itertools import pairwise

import numpy as np
import pytest

from controlnet.evaluation.canvas import Picture, Svg
from controlnet.evaluation.chart import ROW, WIDTH, Chart, Level, Panel, Series, draw, ticks

CURVE = Series("trained", [(0, 0.2), (50, 0.3), (100, 0.6)], [0.02, 0.02, 0.02], dots=True)
LEVELS = [Level("ceiling", 0.8), Level("shipped", 0.79), Level("prompt only", 0.2)]
CHART = Chart([Panel("Adherence", [CURVE], LEVELS), Panel("Gain", [CURVE])], "steps", [(50, "arrives")])


@pytest.mark.parametrize(
    ("low", "high", "most", "wanted"),
    [
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 700, 8, [0, 100, 200, 300, 400, 500, 600, 700]),
        (-0.3, 0.5, 4, [-0.2, 0, 0.2, 0.4]),
        (0, 0.0047, 5, [0, 0.001, 0.002, 0.003, 0.004]),
    ],
)
def test_ticks_are_round(low: float, high: float, most: int, wanted: list[float]) -> None:
    assert ticks(low, high, most) == pytest.approx(wanted)


def svg(chart: Chart) -> str:
    canvas = Svg(WIDTH, chart.height, "curves")
    draw(chart, canvas)
    return canvas.element()


def test_labels_of_near_levels_stand_apart() -> None:
    drawn = svg(CHART)
    names = ("ceiling", "shipped", "trained", "prompt only")
    heights = [float(re.search(rf'y="([\d.]+)"[^>]*>{name}<', drawn).group(1)) for name in names]  # pyright: ignore
    assert heights == sorted(heights)
    assert all(lower - upper >= ROW - 0.2 for upper, lower in pairwise(heights))


def test_both_drawings_show_curve_band_levels_and_mark() -> None:
    drawn = svg(CHART)
    assert drawn.count("<polygon") == 2 and drawn.count("<circle") == 6
    assert drawn.count("stroke-dasharray") == len(LEVELS) + 2  # the mark goes through both panels
    assert ">arrives<" in drawn
    picture = Picture(WIDTH, CHART.height)
    draw(CHART, picture)
    colours = {tuple(colour) for colour in np.unique(np.asarray(picture.image).reshape(-1, 3), axis=0)}
    assert {(0x0B, 0x62, 0xC4), (0x93, 0x33, 0xEA)} <= colours


def test_a_chart_without_a_measurement_can_be_drawn() -> None:
    assert "Adherence" in svg(Chart([Panel("Adherence", [Series("none", [])])], "steps"))
