"""Whoever answers in the manager's place, or does not, is told as what it is."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from manager.cli.guided import with_json_option

PAGE = b"<html><h1>502 Bad Gateway</h1></html>"


@contextmanager
def answering(payload: bytes) -> Iterator[int]:
    """Answer each connection with these bytes and hang up; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(payload)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def http(status: str, kind: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("scheme", "payload", "output"),
    [
        (
            "http",
            http("502 Bad Gateway", "text/html", PAGE),
            "cannot reach the manager behind it (HTTP status 502)",
        ),
        (
            "http",
            http("503 Busy", "text/plain", b""),
            "cannot reach the manager behind it (HTTP status 503)",
        ),
        (
            "http",
            http("404 Not Found", "text/html", PAGE),
            "is not a Certcast manager: it answered with HTTP status 404",
        ),
        (
            "http",
            http("401 Who", "text/plain", b""),
            "is not a Certcast manager: it answered with HTTP status 401",
        ),
        ("http", http("200 OK", "text/html", PAGE), "is not a Certcast manager: it sent a web page"),
        ("http", b"SSH-2.0-OpenSSH_9.2\r\n", "is not a Certcast manager: it does not speak HTTP"),
        ("http", b"", "closed the connection without an answer"),
        ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "was cut off"),
        ("https", http("400 Bad Request", "text/html", PAGE), "does not speak TLS"),
        ("https", b"", "closed the connection without an answer"),
    ],
)
def test_who_is_no_manager_is_exit_status_3_with_the_reason(run, scheme, payload, output):
    with answering(payload) as port:
        done = run("status", CERTCAST_URL=f"{scheme}://127.0.0.1:{port}")
    assert done.exit_code == 3
    assert output in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_name_that_is_not_found_is_said_to_be_that(run):
    done = run("status", CERTCAST_URL="https://no-such-host.invalid")
    assert done.exit_code == 3
    assert done.stderr.startswith("certcast: cannot find the host no-such-host.invalid: ")
    assert ": . " not in done.stderr


@pytest.mark.parametrize(
    "url", ["https://a..example.com", f"https://{'a' * 64}.example.com", "https://h:99999"]
)
def test_a_url_that_cannot_be_one_is_exit_status_2(run, url):
    done = run("status", CERTCAST_URL=url)
    assert done.exit_code == 2
    assert "URL" in done.stderr.upper()
    assert done.stderr.count("\n") == 1


def test_a_wrong_token_is_said_to_be_the_token_and_a_wrong_password_whose(api, run):
    api.refuse("GET", "fleet", 401, "the token is unknown, revoked or expired")
    done = run("status", CERTCAST_TOKEN="cct_x")
    assert done.exit_code == 1
    assert "certcast token create" in done.stderr
    assert "cct_x" not in done.stderr
    api.refuse("GET", "fleet", 401, "the user name or password is wrong")
    refused = run("status").stderr
    assert refused.startswith(
        "certcast: the user name or password is wrong (user 'anna'). To replace a lost password, "
    )


def test_o_json_is_json_wherever_it_is_an_option():
    assert with_json_option(["status", "-o", "json"]) == ["status", "--json"]
    assert with_json_option(["-ojson", "status"]) == ["status", "--json"]
    assert with_json_option(["-o", "json", "status", "--", "x"]) == ["status", "--json", "--", "x"]
    assert with_json_option(["x", "--", "-o", "json"]) == ["x", "--", "-o", "json"]


def test_the_version_is_printed_without_a_manager(run, api):
    done = run("--version", CERTCAST_URL=None)
    assert done.exit_code == 0
    assert done.stdout.startswith("certcast ")
    assert not api.asked
