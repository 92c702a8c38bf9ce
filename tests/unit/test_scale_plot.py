from xml.etree import ElementTree as ET

import pytest

from bench.full.plot import draw, slope

SVG = "{http://www.w3.org/2000/svg}"


def test_a_slope_is_1_in_proportion_and_0_where_nothing_grows():
    assert slope([(10, 2.0), (1000, 200.0)]) == pytest.approx(1.0)
    assert slope([(10, 2.0), (100, 7.0), (1000, 2.0)]) == pytest.approx(0.0)
    assert slope([(10, 1.0), (100, 100.0)]) == pytest.approx(2.0)


def test_a_plot_has_a_line_with_all_its_points_inside_for_each_figure():
    drawn = ET.fromstring(
        draw(
            "Pushes & more",
            "nodes",
            "seconds",
            {"ours": [(10, 0.1), (100, 1.5)], "floor": [(10, 0.02), (100, 0.2)]},
        )
    )
    lines = drawn.findall(f"{SVG}polyline")
    assert len(lines) == 2
    _, _, width, height = map(float, drawn.get("viewBox").split())
    for line in lines:
        places = [tuple(map(float, each.split(","))) for each in line.get("points").split()]
        assert all(0 < x < width and 0 < y < height for x, y in places)
        assert places[0][0] < places[1][0]
        assert places[0][1] > places[1][1], "more is higher"
    texts = [each.text for each in drawn.iter(f"{SVG}text")]
    assert "Pushes & more" in texts
    assert "ours (slope 1.18)" in texts
