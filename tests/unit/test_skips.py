"""A test that needs something says so by the mark `services`, so that CI cannot skip it."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
BY_ITSELF = ("mark." + "skipif", "import" + "orskip")


def test_no_test_skips_by_a_mark_of_its_own():
    found = [
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("*.py")
        if any(word in path.read_text() for word in BY_ITSELF)
    ]
    assert found == []
