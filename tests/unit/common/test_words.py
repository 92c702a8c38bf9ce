"""Numbers agree with their nouns wherever people read them."""

import re
from pathlib import Path

import pytest

import common
import manager
import nodeagent
from common.words import counted, span_of

_COUNT = re.compile(
    r"\{(?P<number>[^{}]+)\} "
    r"(?:further |other |custom |trusted )?(?:days|hours|minutes|times|files|nodes|ports|services|certificates|generations|attempts|alarms)\b"
)

ALWAYS_SEVERAL = {
    # two or more look alike, or occur more than once
    "len(group)",
    "len(values)",
    # asked for only where it is more than one
    "failed.attempts",
    # longer than what clients accept
    "lived_s // DAY_S",
    # 30 and 60
    "days",
}


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 days"), (0.6, "1 day"), (1, "1 day"), (1.4, "1 day"), (-1, "-1 day"), (1200, "1,200 days")],
)
def test_one_is_told_apart_from_several(count, text):
    assert counted(count, "day") == text


def test_a_noun_may_have_a_plural_of_its_own():
    assert counted(2, "entry", "entries") == "2 entries"


def test_no_text_says_one_days():
    found = []
    for package in (common, nodeagent, manager):
        source = Path(package.__file__).parent
        for path in source.rglob("*.py"):
            for match in _COUNT.finditer(path.read_text()):
                number = match["number"]
                # a limit is never one, and "1.0 days" is right
                if number in ALWAYS_SEVERAL or number.isupper() or number.endswith(":.1f"):
                    continue
                found.append(f"{path.relative_to(source.parent)}: {match[0]}")
    assert found == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (90 * 86_400 - 5, "89 days"),
        (36 * 3600, "1 day"),
        (86_400, "1 day"),
        (86_399, "23 hours"),
        (3_600, "1 hour"),
        (1_200, "20 minutes"),
        (8, "8 seconds"),
        (-1, "0 seconds"),
    ],
)
def test_a_span_that_is_not_over_is_never_no_days(seconds, text):
    assert span_of(seconds) == text


def test_nobody_counts_the_days_of_what_ends_within_one():
    """Days that are left are told by `span_of`, or where less than one was told apart before."""
    shown = [
        f"{path.name}: {line.strip()}"
        for package in (common, manager, nodeagent)
        for path in sorted(Path(package.__file__).parent.rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(r"""counted\([^()]*(?:days|DAY_S|86_400)[^()]*, ["']day["']\)""", line)
    ]
    assert sorted(each.partition(":")[0] for each in shown) == ["status.py"], shown
