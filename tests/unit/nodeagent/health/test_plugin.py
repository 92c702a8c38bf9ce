import pytest

from nodeagent.health.check import Check
from nodeagent.health.plugin import CRITICAL, OK, UNKNOWN, WARNING, Answer, ask, judge

WELL = Check("manager", True, "last seen 3 s ago", 3.0)


def answer(days: float | None, *, ok: bool = True, others: tuple[Check, ...] = (WELL,)) -> Answer:
    endpoint = Check("endpoint web 127.0.0.1:443", ok, "serves", days)
    return Answer("ok", [*others, endpoint] if days is not None else [*others])


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (answer(31), OK),
        (answer(30), WARNING),
        (answer(0.5), WARNING),
        (answer(-1, ok=False), CRITICAL),
        (answer(90, ok=False), CRITICAL),
        (answer(90, others=(Check("manager", False, "no word yet"),)), CRITICAL),
        (answer(None), OK),
    ],
)
def test_the_exit_status_is_that_of_a_monitoring_plugin(given, code):
    assert judge(given)[0] == code


def test_the_line_is_one_line_with_performance_data():
    code, line = judge(answer(12.25, others=(Check("manager", False, "no\nword | yet"),)))
    assert (code, line) == (
        CRITICAL,
        (
            "CERTCAST CRITICAL: manager: no word / yet | days_left=12.25;30:;0: endpoints=1 "
            "'web 127.0.0.1:443'=12.25;30:;0:"
        ),
    )


def test_an_address_that_is_none_is_unknown():
    assert ask("127.0.0.1:9470")[0] == UNKNOWN
    assert ask("https://127.0.0.1")[0] == UNKNOWN
