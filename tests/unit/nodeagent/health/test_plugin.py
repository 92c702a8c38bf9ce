import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

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


def test_an_answer_without_any_check_is_unknown_whatever_it_claims():
    with listening(b'{"status":"ok","checks":[]}') as url:
        assert ask(url) == (UNKNOWN, f"CERTCAST UNKNOWN: what answers at {url} says nothing about any check")
    with listening(b'{"status":"ok","checks":[{"name":"loop","ok":true,"message":"it answers"}]}') as url:
        assert ask(url)[0] == OK


@contextmanager
def listening(body: bytes) -> Iterator[str]:
    """Answer one question with this."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            thread.join()
