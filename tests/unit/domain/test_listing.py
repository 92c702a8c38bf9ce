from hypothesis import given
from hypothesis import strategies as st

from manager.domain.listing import ListPage, Sort, mentions, page_from, page_of, sort_rows

ROWS = [("b", 2), ("a", 2), ("c", 1)]


def test_equals_by_the_first_key_are_sorted_by_the_next():
    assert sort_rows(ROWS, [Sort(lambda row: row[1]), Sort(lambda row: row[0])]) == [
        ("c", 1),
        ("a", 2),
        ("b", 2),
    ]


def test_equals_stay_in_their_order_in_either_direction():
    assert sort_rows(ROWS, [Sort(lambda row: row[1], descending=True)]) == [("b", 2), ("a", 2), ("c", 1)]
    assert sort_rows(ROWS, []) == ROWS


@given(rows=st.lists(st.integers()), size=st.integers(min_value=1, max_value=9))
def test_pages_together_are_the_list(rows, size):
    numbers = range(1, len(rows) // size + 2)
    assert [row for number in numbers for row in page_of(rows, number, size=size).entries] == rows


def test_a_page_tells_how_many_there_are_in_all():
    assert page_from([1, 2, 3], offset=2, limit=5) == ListPage(3, [3])
    assert page_from([1, 2, 3], offset=9, limit=5) == ListPage(3, [])


def test_a_text_is_found_without_regard_to_case():
    assert mentions(["Node", "x.example"], "nOD")
    assert not mentions(["Node"], "nodes")
    assert mentions(["anything"], "")
