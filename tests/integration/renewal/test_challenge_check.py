"""Asking a node as a CA does: what is a right answer, and that nothing else than the node's own address is ever connected to."""

import asyncio
import ssl

import pytest
from aiohttp.client_proto import ResponseHandler

from common.challenge import PATH
from manager.fleet import challenge_check
from manager.fleet.challenge_check import ChallengeChecker, CheckResult
from tests import pki
from tests.integration.renewal.http_parts import Node, Reply, answer, servers

NAME, TOKEN, RESPONSE = "conf.example.com", "tok_en-1", "tok_en-1.thumb"
OWN, OTHER = "127.0.0.1", "127.0.0.2"


async def ask_of(reply: Reply, name: str = NAME) -> tuple[CheckResult, Node]:
    node = Node(OWN, reply)
    async with servers(node) as port, ChallengeChecker(http_port=port).open() as check:
        return await check(OWN, name, TOKEN, RESPONSE), node


@pytest.mark.parametrize("body", [RESPONSE, f"{RESPONSE}\n", f"{RESPONSE} \r\n\t"])
async def test_the_right_answer_may_end_in_white_space(body):
    asked, node = await ask_of(lambda _host, _path: answer(body.encode()))
    assert asked == CheckResult("right")
    assert node.asked == [(NAME, PATH + TOKEN)]
    assert b"Cookie" not in node.heads[0]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (answer(b"", "404 Not Found"), "answers 404"),
        (answer(RESPONSE.encode(), "403 Forbidden"), "answers 403"),
        (answer(b"<html>hello"), "answers '<html>hello'"),
        (answer(b"\x1b[31m\xff"), "answers '"),
        (answer(b"tok_en-1.other"), "answers for another account or another challenge"),
        (answer(f" {RESPONSE}".encode()), "with something before or after it"),
        (answer(f"<pre>{RESPONSE}</pre>".encode()), "with something before or after it"),
        (answer(f"{RESPONSE[:-3]} x".encode()), "with something before or after it"),
        (answer(b"x" * 100_000), "longer than any challenge"),
        (answer(b"", "302 Found"), "redirects to ''"),
        (b"SSH-2.0-x\r\n", "does not answer with HTTP"),
        (b"", "does not answer with HTTP"),
    ],
)
async def test_any_other_answer_is_told_in_words(reply, said):
    asked, _ = await ask_of(lambda _host, _path: reply)
    assert asked.kind == "wrong"
    assert said in asked.message
    assert OWN in asked.message
    assert TOKEN not in asked.message
    assert "\x1b" not in asked.message
    assert len(asked.message) < 250


async def test_an_endless_body_is_not_read_to_its_end():
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 5_000_000
    asked, _ = await ask_of(lambda _host, _path: endless)
    assert "longer than any challenge" in asked.message


@pytest.mark.parametrize("status", [b"100 Continue", b"103 Early Hints"])
async def test_interim_answers_without_end_are_given_up_before_many_are_parsed(monkeypatch, status):
    parsed: list[int] = []
    really = ResponseHandler.data_received

    def counted(self: ResponseHandler, data: bytes) -> None:
        parsed.append(len(data))
        really(self, data)

    monkeypatch.setattr(ResponseHandler, "data_received", counted)
    interim = b"HTTP/1.1 " + status + b"\r\n\r\n"
    asked, _ = await ask_of(lambda _host, _path: interim * 200_000)
    assert (asked.kind, "one interim answer follows another" in asked.message) == ("wrong", True)
    assert max(parsed) <= challenge_check.PARSED_BYTES
    assert sum(parsed) <= 2 * challenge_check.PARSED_BYTES


async def test_an_answer_may_have_interim_ones_before_it():
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * (challenge_check.HEADS_MAX - 1)
    asked, _ = await ask_of(lambda _host, _path: hints + answer(RESPONSE.encode()))
    assert asked == CheckResult("right")


async def test_who_answers_nobody_and_who_answers_too_late_are_told_apart(monkeypatch):
    monkeypatch.setattr(challenge_check, "CHECK_S", 0.2)
    async with (
        servers(Node(OTHER, lambda _host, _path: b"")) as port,
        ChallengeChecker(http_port=port).open() as check,
    ):
        refused = await check(OWN, NAME, TOKEN, RESPONSE)
    assert refused == CheckResult("nobody", f"nobody answers at {OWN}:{port}: Connection refused")
    held = asyncio.Event()

    async def silent(_reader, writer):
        await held.wait()
        writer.close()

    server = await asyncio.start_server(silent, OWN, 0)
    port = server.sockets[0].getsockname()[1]
    async with ChallengeChecker(http_port=port).open() as check:
        late = await check(OWN, NAME, TOKEN, RESPONSE)
    held.set()
    server.close()
    assert (late.kind, "does not answer within" in late.message) == ("nobody", True)


def redirecting(to: str) -> Reply:
    """Redirect what is asked to a place that has the answer, if it is asked."""
    return lambda _host, path: (
        answer(RESPONSE.encode()) if path == "/elsewhere" else answer(b"", "302 Found", f"Location: {to}")
    )


@pytest.mark.parametrize(
    "to", ["/elsewhere", f"http://{NAME}/elsewhere", f"http://{NAME.upper()}:80/elsewhere"]
)
async def test_a_redirection_to_the_same_name_is_followed(to):
    asked, node = await ask_of(redirecting(to))
    assert asked == CheckResult("right")
    assert {host for host, _ in node.asked} == {NAME}


@pytest.mark.parametrize(
    "to",
    [
        "http://other.example.com/elsewhere",
        "http://127.0.0.2/elsewhere",
        "http://[::1]/elsewhere",
        f"http://{NAME}:8080/elsewhere",
        f"http://user:secret@{NAME}/elsewhere",
        f"http://{NAME}@other.example.com/elsewhere",
        f"ftp://{NAME}/elsewhere",
        "file:///etc/passwd",
        "//other.example.com/elsewhere",
        "http://[broken/elsewhere",
        "javascript:x",
    ],
)
async def test_a_redirection_to_anywhere_else_is_not_followed(to):
    other = Node(OTHER, lambda _host, _path: answer(RESPONSE.encode()))
    node = Node(OWN, redirecting(to))
    async with (
        servers(node, other) as port,
        ChallengeChecker(http_port=port, https_port=port).open() as check,
    ):
        asked = await check(OWN, NAME, TOKEN, RESPONSE)
    assert asked.kind == "wrong"
    assert "only redirections to the same name" in asked.message
    assert (len(node.asked), other.asked) == (1, [])


async def test_a_circle_of_redirections_ends():
    asked, node = await ask_of(lambda _host, path: answer(b"", "302 Found", f"Location: {path}"))
    assert f"more than {challenge_check.REDIRECTS_MAX} times" in asked.message
    assert len(node.asked) == challenge_check.REDIRECTS_MAX + 1


async def test_a_redirection_to_https_is_followed_whatever_certificate_is_shown_there(tmp_path):
    made = pki.make_leaf(None, ["old.example.com"])
    (tmp_path / "both.pem").write_text(made.certificate_pem + made.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    names = []
    context.sni_callback = lambda _connection, name, _context: names.append(name)
    secure = Node(OWN, lambda _host, _path: answer(RESPONSE.encode()))
    server = await asyncio.start_server(secure.serve, OWN, 0, ssl=context)
    https_port = server.sockets[0].getsockname()[1]
    plain = Node(OWN, lambda _host, path: answer(b"", "301 Moved", f"Location: https://{NAME}{path}"))
    async with (
        servers(plain) as port,
        ChallengeChecker(http_port=port, https_port=https_port).open() as check,
    ):
        asked = await check(OWN, NAME, TOKEN, RESPONSE)
    server.close()
    await server.wait_closed()
    assert asked == CheckResult("right")
    assert names == [NAME]
    assert secure.asked == [(NAME, PATH + TOKEN)]


async def test_names_that_are_addresses_are_asked_for_as_such():
    asked, node = await ask_of(lambda _host, _path: answer(RESPONSE.encode()), name="2001:db8::1")
    assert asked == CheckResult("right")
    assert node.asked[0][0] == "[2001:db8::1]"
    assert (await ask_of(lambda _host, _path: answer(RESPONSE.encode()), name="192.0.2.1"))[0].kind == "right"
