"""The way to a CA: https and no other, verified, bounded in length and in time."""

import asyncio
import json
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import pytest

from demo.site import free_port
from manager.acme import transport
from manager.acme.ca import AcmeCas
from manager.acme.transport import BODY_MAX_BYTES, HOSTS_MAX, tls_context
from manager.usecases.renewal.ports import CaError
from tests import pki
from tests.fakes.hostile_ca import (
    DIRECTORY,
    NONCE,
    ORDER,
    HostileCa,
    Reply,
    json_reply,
)
from tests.integration.acme.parts import account, asking, key_pem, made, order, refused
from tests.patience import PATIENCE_S


@pytest.mark.parametrize(
    "url", ["http://a.example/1", "ftp://a.example/1", "file:///etc/passwd", "HTTP://a.example", ""]
)
async def test_nothing_is_asked_at_an_address_that_is_not_of_https(hostile, at_hostile, url, threads):
    error = await refused(at_hostile.look(url))
    assert error.is_final
    assert "not of https" in error.message
    hostile.replies[ORDER] = [made(hostile, finalize=url or "-")]
    assert (await refused(order(at_hostile))).is_final
    assert (await refused(asking(account(url), threads).directory())).is_final


async def test_a_redirect_is_not_followed(hostile, at_hostile):
    hostile.replies[DIRECTORY] = [Reply(status=302, headers={"Location": hostile.url("/elsewhere")})]
    assert "status 302" in (await refused(at_hostile.directory())).message
    hostile.replies[DIRECTORY] = [json_reply(hostile.directory())]
    hostile.replies[ORDER] = [Reply(status=307, headers={"Location": hostile.url("/elsewhere")})]
    assert "status 307" in (await refused(order(at_hostile))).message
    assert not any(each.path == "/elsewhere" for each in hostile.asked)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(endless=b"x" * 65536), id="without a length"),
        pytest.param(Reply(body=b" " * (BODY_MAX_BYTES + 1)), id="too long"),
        pytest.param(
            Reply(headers={"Transfer-Encoding": "chunked"}, endless=b"4\r\nabcd\r\n" * 9000), id="in chunks"
        ),
        pytest.param(Reply(status=500, endless=b"x" * 65536), id="of an error"),
    ],
)
async def test_an_endless_answer_is_left_off(hostile, at_hostile, reply):
    hostile.replies[DIRECTORY] = [reply]
    assert (
        await refused(at_hostile.directory())
    ).message == f"127.0.0.1 sent more than {BODY_MAX_BYTES} bytes"


async def test_a_body_of_the_longest_length_is_taken(hostile, at_hostile):
    body = json.dumps(hostile.directory()).encode()
    hostile.replies[DIRECTORY] = [Reply(body=body + b" " * (BODY_MAX_BYTES - len(body)))]
    assert (await at_hostile.directory()).profiles == {"classic": "90 days"}


async def test_headers_without_an_end_are_left_off(hostile, at_hostile):
    hostile.replies[DIRECTORY] = [Reply(headers={f"X-{number}": "x" for number in range(200)})]
    await refused(at_hostile.directory())


async def test_a_ca_that_leads_to_ever_other_hosts_is_not_followed(hostile, at_hostile):
    await at_hostile.directory()
    errors = [await refused(at_hostile.look(f"https://127.0.0.1:{free_port()}/")) for _ in range(HOSTS_MAX)]
    assert errors[-1].message == f"the CA leads to more than {HOSTS_MAX} hosts"
    assert "Connection refused" in errors[-2].message


@pytest.mark.parametrize("closes", [{}, {"Connection": "close"}])
async def test_a_byte_now_and_then_keeps_nobody_longer_than_a_call_may_last(hostile, closes):
    hostile.replies[DIRECTORY] = [Reply(headers=closes, endless=b" ", slowly=True)]
    with ThreadPoolExecutor(1) as threads:
        ca = asking(account(hostile.directory_url, trust_pem=hostile.trust_pem), threads, call_s=0.3)
        assert (await refused(ca.directory())).message == "the CA did not answer within 0.3 s"
        # its one thread is free again, and the same object asks anew
        hostile.replies[DIRECTORY] = [json_reply(hostile.directory())]
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.get_running_loop().run_in_executor(threads, lambda: None)
        again = asking(account(hostile.directory_url, trust_pem=hostile.trust_pem), threads)
        assert (await again.directory()).has_renewal_info


async def test_a_call_that_is_cancelled_leaves_at_once_and_its_thread_after_it(hostile):
    hostile.replies[DIRECTORY] = [Reply(endless=b" ", slowly=True)]
    with ThreadPoolExecutor(1) as threads:
        ca = asking(account(hostile.directory_url, trust_pem=hostile.trust_pem), threads)
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            call = group.create_task(ca.directory())
            await hostile.came.wait()
            call.cancel()
        hostile.replies[DIRECTORY] = [json_reply(hostile.directory())]
        assert (await ca.directory()).has_renewal_info


async def test_calls_at_a_time_go_one_after_the_other(hostile, at_hostile):
    hostile.replies[ORDER] = [made(hostile)]
    found = await asyncio.gather(*(order(at_hostile) for _ in range(5)))
    assert {each.status for each in found} == {"pending"}
    assert hostile.paths("GET") == [DIRECTORY]


async def test_a_directory_is_verified_by_the_built_in_cas_alone_where_none_are_given(hostile, threads):
    error = await refused(asking(account(hostile.directory_url), threads).directory())
    assert "its certificate is not trusted" in error.message
    assert not hostile.asked


async def test_a_directory_is_verified_by_the_cas_that_are_given_and_no_others(hostile, threads, at_hostile):
    other = pki.make_root("Another Root")
    error = await refused(
        asking(account(hostile.directory_url, trust_pem=other.certificate_pem), threads).directory()
    )
    assert "its certificate is not trusted" in error.message
    assert not hostile.asked
    context = tls_context(hostile.trust_pem)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] == 1
    assert tls_context("").cert_store_stats()["x509_ca"] > 50
    await at_hostile.directory()
    talk = at_hostile._session
    assert talk is not None
    assert talk._transport._context.cert_store_stats()["x509_ca"] == 1


async def test_a_certificate_for_another_host_is_not_taken(tmp_path, threads):
    async with HostileCa(tmp_path, names=("other.example",), address="192.0.2.1").running() as hostile:
        error = await refused(
            asking(account(hostile.directory_url, trust_pem=hostile.trust_pem), threads).directory()
        )
    assert "its certificate is not trusted" in error.message


async def test_trust_that_cannot_be_read_is_said_to_be_so(hostile, threads):
    error = await refused(asking(account(hostile.directory_url, trust_pem="nothing"), threads).directory())
    assert error.is_final


async def test_no_proxy_of_the_environment_is_asked_and_no_password_of_it_sent(
    hostile, at_hostile, monkeypatch, tmp_path
):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login admin password word\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert (await at_hostile.directory()).has_renewal_info
    assert "authorization" not in hostile.asked[-1].headers


async def test_a_ca_hears_who_asks_and_keeps_no_cookie_there(hostile, at_hostile):
    hostile.replies[DIRECTORY] = [
        Reply(headers={"Set-Cookie": "a=b"}, body=json.dumps(hostile.directory()).encode())
    ]
    hostile.replies[ORDER] = [made(hostile)]
    await order(at_hostile)
    assert {each.headers["user-agent"] for each in hostile.asked} == {f"Certcast/{version('certcast')}"}
    assert not any("cookie" in each.headers for each in hostile.asked)
    assert {each.headers["accept-encoding"] for each in hostile.asked} == {"identity"}


@pytest.mark.parametrize("path", [DIRECTORY, NONCE])
async def test_a_ca_that_says_nothing_is_left_when_a_read_has_taken_too_long(
    hostile, at_hostile, monkeypatch, path
):
    monkeypatch.setattr(transport, "READ_S", 0.2)
    hostile.replies[path] = [Reply(silent=True)]
    assert (
        await refused(order(at_hostile))
    ).message == "127.0.0.1 cannot be asked: it did not answer in time"


async def test_a_listener_that_speaks_no_tls_is_left_when_connecting_has_taken_too_long(threads, monkeypatch):
    monkeypatch.setattr(transport, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        error = await refused(asking(account(url), threads).directory())
    assert error.message == "127.0.0.1 cannot be asked: it did not answer in time"


async def test_an_account_is_asked_by_its_address_and_at_the_ca_for_trying_found_by_its_key(hostile):
    cas = AcmeCas(clock=time.time)
    record = account(
        hostile.directory_url,
        staging_url=hostile.url("/staging"),
        trust_pem=hostile.trust_pem,
        url=hostile.url("/accounts/5"),
    )
    hostile.replies["/staging"] = [json_reply(hostile.directory())]
    hostile.replies[ORDER] = [made(hostile)]
    await order(await cas.ca(record, key_pem(), is_test=False))
    assert hostile.asked[-1].protected()["kid"] == record.url
    hostile.asked.clear()
    await order(await cas.ca(record, key_pem(), is_test=True))
    assert hostile.paths("GET") == ["/staging"]
    assert hostile.asked[-1].protected()["kid"] == hostile.url("/accounts/1")
    with pytest.raises(CaError) as caught:
        await cas.ca(account(hostile.directory_url), key_pem(), is_test=True)
    assert caught.value.is_final
    cas.close()


@pytest.mark.parametrize("url", ["https://a b/", "https://%0a/", "https://[::1/", "https://"])
async def test_a_directory_that_is_no_address_is_an_error_of_the_account(threads, url):
    error = await refused(asking(account(url), threads).directory())
    assert error.is_final
