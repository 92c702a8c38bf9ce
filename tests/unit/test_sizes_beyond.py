"""What docs/scaling.md computes of more nodes than were measured follows from what it says was measured, and that from performance.md."""

import re
from math import ceil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SCALING = (REPOSITORY / "docs/scaling.md").read_text()
PERFORMANCE = (REPOSITORY / "docs/performance.md").read_text()
COMPUTED = re.findall(r"^\| ([\d,]+) \| (\d+) \| ([\d,]+) \| (.+) \|$", SCALING, re.MULTILINE)
KIB_A_NODE = 27.5


def measured(name: str) -> tuple[float, float]:
    """Return the figures of a row with 1,000 and with 10,000 nodes."""
    (row,) = re.findall(rf"^\| {re.escape(name)} \| ([\d.]+) \S+ \| ([\d.]+) \S+ \|$", SCALING, re.MULTILINE)
    return float(row[0]), float(row[1])


def along(figures: tuple[float, float], nodes: int) -> float:
    """Return what a straight line through both says of so many nodes."""
    few, many = figures
    return few + (many - few) * (nodes - 1000) / 9000


def test_what_was_measured_is_what_the_page_of_measurements_has():
    for row in (
        r"\| new certificate: installed on half, 99 %, all \| 0\.33, 0\.43, 0\.44 s \| 3\.8, 6\.9, 7\.0 s \|",
        r"\| manager started again: half, 99 %, all back \| 4\.4, 6\.0, 6\.3 s \| 31, 53, 54 s \|",
        r"\| idle, with ticks: share of one core \| 2\.5 % \| 15\.0 % \|",
        rf"\| memory of the manager for each connected node \| 31\.4 KiB \| {KIB_A_NODE} KiB \|",
    ):
        assert re.search(row, PERFORMANCE), row


@pytest.mark.parametrize(("nodes", "managers", "each", "figures"), COMPUTED)
def test_a_computed_row_is_on_the_line_through_both_measured_ones(nodes, managers, each, figures):
    total, count, own = int(nodes.replace(",", "")), int(managers), int(each.replace(",", ""))
    memory, share, push, back = (float(value.split()[0]) for value in figures.split(" | "))
    assert own == ceil(total / count)
    assert total / (count - 1) <= 10_000, "what the others have when one is lost"
    assert memory == pytest.approx(own * KIB_A_NODE / 1024, abs=0.5)
    assert share == pytest.approx(along(measured("share of one core at rest"), own), abs=0.5)
    pushes = measured("a new certificate for all of them: installed on the last")
    assert push == pytest.approx(along(pushes, own), abs=0.05)
    returns = measured("manager started again: the last node is back")
    assert back == pytest.approx(along(returns, ceil(own / (count - 1))), abs=0.5)


def test_there_are_computed_rows_up_to_100_000_nodes():
    assert [row[0] for row in COMPUTED] == ["20,000", "50,000", "100,000"]
