import pytest

from common.errors import InvalidInputError
from common.limits import NOTE_MAX_CHARS
from manager.domain.annotations import NO_ANNOTATIONS, Annotations


def test_a_note_is_kept_as_forms_mean_it():
    given = Annotations(note=" \r\nRenewed by Ada.\r\n\r\nTicket\N{NO-BREAK SPACE}4711 \n")
    assert given.checked() == Annotations(note="Renewed by Ada.\n\nTicket 4711")


def test_what_is_not_given_stays_and_an_empty_text_takes_away():
    assert NO_ANNOTATIONS.checked().given() == {}
    assert Annotations(note="  ").checked().given() == {"note": ""}


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "{{ 7 * 7 }}", "'; DROP TABLE", "ü 漢字 😀"])
def test_markup_and_other_scripts_are_only_text(text: str):
    assert Annotations(note=text).checked().note == text


@pytest.mark.parametrize(
    "char",
    [
        "\x00",
        "\x07",
        "\t",
        "\r",
        "\x1b",
        "\x7f",
        "\x85",
        "\u200b",
        "\u2028",
        "\u202e",
        "\u2066",
        "\ufeff",
        "\ud800",
    ],
    ids=ascii,
)
def test_a_note_with_what_a_terminal_could_take_for_a_command_or_a_page_would_hide_is_refused(char: str):
    with pytest.raises(
        InvalidInputError, match=rf"line 2 that cannot be shown: U\+{ord(char):04X}"
    ) as refused:
        Annotations(note=f"first\nsec{char}ond").checked()
    assert refused.value.field == "note"


def test_a_note_that_is_too_long_is_refused_with_the_limit():
    assert Annotations(note="x" * NOTE_MAX_CHARS).checked().note == "x" * NOTE_MAX_CHARS
    with pytest.raises(InvalidInputError, match="1,001 characters; 1,000 are the most"):
        Annotations(note="x" * (NOTE_MAX_CHARS + 1)).checked()


def test_only_what_differs_is_a_change():
    known = Annotations(note="as it was")
    assert Annotations(note="as it was").differing(known) == NO_ANNOTATIONS
    assert Annotations(note="").differing(known) == Annotations(note="")
    assert NO_ANNOTATIONS.differing(known) == NO_ANNOTATIONS
