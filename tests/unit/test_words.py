"""Numbers agree with their nouns wherever people read them."""

import re
from pathlib import Path

import pytest

import common
import manager
import nodeagent
from common.words import counted

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
