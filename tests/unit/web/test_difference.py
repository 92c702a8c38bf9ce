from manager.web.difference import LINES_MAX, differences


def test_fields_that_are_the_same_but_for_blank_ends_are_left_out():
    assert differences([("Text", "a\nb\n", "\na\nb"), ("Nodes", "", "")]) == []


def test_lines_of_either_side_are_told_apart_with_a_little_around_them():
    theirs = "\n".join(f"line {number}" for number in range(20))
    yours = theirs.replace("line 10", "mine")
    (found,) = differences([("Text", theirs, yours)])
    assert [(line.kind, line.text) for line in found.lines] == [
        ("gap", ""),
        ("both", "line 8"),
        ("both", "line 9"),
        ("theirs", "line 10"),
        ("yours", "mine"),
        ("both", "line 11"),
        ("both", "line 12"),
    ]


def test_a_line_that_looks_like_a_mark_of_the_format_is_a_line():
    (found,) = differences([("Text", "--- a", "+++ b")])
    assert [(line.kind, line.text) for line in found.lines][1:] == [("theirs", "--- a"), ("yours", "+++ b")]


def test_a_page_shows_no_more_lines_than_its_limit():
    (found,) = differences([("Text", "a\n" * 1000, "b\n" * 1000)])
    assert len(found.lines) == LINES_MAX
