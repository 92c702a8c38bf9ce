"""A small plot of how figures grow, as SVG: both axes logarithmic, a line for each figure, each point with its value."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 40, 48
COLOURS: Final = ("#0b5394", "#b45f06", "#38761d", "#741b47")
DASHES: Final = ("", "7 4", "2 3", "9 3 2 3")
"""So that lines are told apart without their colours."""

Series = Mapping[str, Sequence[tuple[float, float]]]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return how a figure grows from the first point to the last: 1 is in proportion, 0 is not at all."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    return math.log(y1 / y0) / math.log(x1 / x0)


def draw(title: str, across: str, up: str, series: Series) -> str:
    """Return the drawing. Every value must be above zero, and each line must have two points."""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    x_low, x_high = math.log10(min(xs)), math.log10(max(xs))
    y_low, y_high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)) + 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return (
            round(LEFT + width * (math.log10(x) - x_low) / (x_high - x_low), 1),
            round(TOP + height * (y_high - math.log10(y)) / (y_high - y_low), 1),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 10}">{escape(across)}</text>',
        f'<text transform="translate(16 {HEIGHT - BOTTOM}) rotate(-90)">{escape(up)}</text>',
    ]
    for power in range(y_low, y_high + 1):
        _, y = place(min(xs), 10.0**power)
        parts.append(f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#cccccc"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{_plain(10.0**power)}</text>')
    for x_value in sorted(set(xs)):
        x, _ = place(x_value, 10.0**y_low)
        parts.append(
            f'<text x="{x}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{_plain(x_value)}</text>'
        )
    for number, (name, points) in enumerate(series.items()):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        places = [place(x, y) for x, y in points]
        line = " ".join(f"{x},{y}" for x, y in places)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
        )
        for (x, y), (_, value) in zip(places, points, strict=True):
            parts.append(f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>')
            parts.append(
                f'<text x="{x}" y="{y - 7}" text-anchor="middle" fill="{colour}">{_plain(value)}</text>'
            )
        x, y = places[-1]
        parts.append(
            f'<text x="{x + 10}" y="{y + 4}" fill="{colour}">{escape(name)} (slope {slope(points):.2f})</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"
