"""Whether the agent's health tells the truth, with real ports."""

import asyncio
import json
import urllib.error
import urllib.request
from contextlib import suppress

import pytest

from common.errors import CertcastError, Reason
from common.runtime import http_responder
from common.runtime.supervise import Supervisor
from common.wire.messages import ConfigurationFault
from nodeagent.channel.connection import ConnectionStatus
from nodeagent.health.check import Check
from nodeagent.health.checks import WITHDRAWN_S, Health
from nodeagent.health.plugin import CRITICAL, OK, WARNING, ask
from nodeagent.health.server import serve_health
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.integration.agent_parts import (
    ROOT,
    TlsService,
    consumer,
    impatient,
    install,
    open_node,
    real_bundle,
    refusing,
    script,
    services,
)
from tests.integration.nodeagent.partial_installs.conftest import bundle as in_parts
from tests.patience import PATIENCE_S

LEAF = pki.make_leaf(ROOT, not_after_s=pki.NOW_S + 90 * pki.DAY_S)
OTHER = pki.make_leaf(ROOT)


@pytest.fixture
async def service(tmp_path):
    async with TlsService(tmp_path / "data").run(OTHER, tmp_path) as running:
        yield running


@pytest.fixture
async def state(service, tmp_path):
    node = await open_node(
        tmp_path / "data", services(consumer(service.reload_script(tmp_path), port=service.port))
    )
    assert (await install(node, real_bundle(LEAF, 1))).result == "applied"
    return node


def health(state, *, word_age_s: float | None = 3.0) -> Health:
    status = ConnectionStatus(
        welcomed=True, last_seen_s=None if word_age_s is None else 1000.0 - word_age_s, trouble=""
    )
    return Health(
        state=state,
        status=status,
        is_recovered=lambda: True,
        monotonic=lambda: 1000.0,
    )


def failed(state, **what) -> list[str]:
    return [check.message for check in health(state, **what).ready() if not check.ok]


async def test_a_node_that_serves_what_is_installed_is_ready(state):
    assert failed(state) == []


async def test_a_port_that_serves_another_leaf_is_not_ready(state, service, tmp_path):
    service._context.load_cert_chain(tmp_path / "first.pem")
    script(tmp_path / "reload", "exit 0")
    state.services = impatient(state.services)
    await Upkeep(state).turn()

    assert len(failed(state)) == 1
    assert "is installed" in failed(state)[0]


async def test_an_expired_leaf_is_not_ready(state):
    state.clock = lambda: pki.NOW_S + 91 * pki.DAY_S
    assert failed(state) == ["serves a leaf that expired 1 day ago"]


async def test_a_leaf_that_lives_short_is_near_its_end_only_in_the_last_third_of_its_life(state):
    short = pki.make_leaf(ROOT, not_before_s=pki.NOW_S - 60, not_after_s=pki.NOW_S + 45 * pki.DAY_S - 61)
    assert (await install(state, real_bundle(short, 2))).result == "applied"

    def warnings() -> list[bool]:
        endpoints = [check for check in health(state).ready() if check.name.startswith("endpoint")]
        return [check.value <= check.warning for check in endpoints]

    assert warnings() == [False]
    state.clock = lambda: pki.NOW_S + 31 * pki.DAY_S
    assert warnings() == [True]


async def test_a_manager_that_says_nothing_for_too_long_is_not_ready(state):
    assert failed(state, word_age_s=150) == []
    assert failed(state, word_age_s=151) == ["last seen 151 s ago"]
    assert failed(state, word_age_s=None) == ["not seen yet: "]


async def test_a_clock_that_is_far_from_the_managers_is_not_ready(state):
    well = health(state)
    well.status.skew_s = 299
    assert [check.message for check in well.ready() if not check.ok] == []
    well.status.skew_s = -301
    (wrong,) = [check for check in well.ready() if not check.ok]
    assert wrong.message.startswith("this clock is -301 s from the manager's")


def installation(state) -> Check:
    (shown,) = [check for check in health(state).ready() if check.name == "install"]
    return shown


async def test_an_installation_that_was_rolled_back_is_not_ready_while_the_manager_wants_it(state, tmp_path):
    script(tmp_path / "reload", "exit 1")
    await install(state, real_bundle(OTHER, 2))

    shown = installation(state)
    assert (shown.ok, shown.level) == (False, "critical")
    assert "generation 2 failed (reload_failed)" in shown.message
    assert shown.message.endswith("generation 1 stays; next attempt in 1 minute")
    state.clock = lambda: pki.NOW_S + 100
    assert installation(state).message.endswith("tried again with the manager's next offer")
    state.clock = lambda: pki.NOW_S + 60 + WITHDRAWN_S + 1
    assert installation(state).ok, "a change that was taken back is no failure for ever"
    assert installation(state).message.endswith("the manager has not offered it again")


@pytest.mark.parametrize("at_first", [True, False], ids=["first", "later"])
async def test_a_bundle_that_is_installed_in_part_is_a_warning_that_names_the_part_and_the_next_attempt(
    service, tmp_path, at_first
):
    good = consumer(service.reload_script(tmp_path), port=service.port)
    bad = refusing("badclient", "client")
    node = await open_node(tmp_path / "data", services(good, bad))
    if not at_first:
        assert (await install(node, real_bundle(LEAF, 1))).result == "applied"
    outcome = await install(node, in_parts(2, LEAF if at_first else OTHER, client=OTHER))
    assert (outcome.result, [one.part for one in outcome.report.refused]) == ("applied", ["client"])

    shown = installation(node)
    assert (shown.ok, shown.level) == (False, "warning")
    assert shown.message.startswith(
        "generation 2 is installed in part, without the client certificate (reload_failed): "
    )
    assert shown.message.endswith("; next attempt in 1 minute")
    async with serve_health(health(node), host="127.0.0.1", port=0) as (host, port):
        code, line = await asyncio.to_thread(ask, f"http://{host}:{port}")
        with await asyncio.to_thread(urllib.request.urlopen, f"http://{host}:{port}/health/ready") as answer:
            assert answer.status == 200
    assert code == WARNING
    assert line.startswith("CERTCAST WARNING: install: generation 2 is installed in part"), line


async def test_a_leaf_with_an_hour_left_is_told_in_hours(state):
    state.clock = lambda: pki.NOW_S + 90 * pki.DAY_S - 3700
    (endpoint,) = [check for check in health(state).ready() if check.name.startswith("endpoint")]
    assert endpoint.message == "serves what is installed, valid for 1 hour"
    async with serve_health(health(state), host="127.0.0.1", port=0) as (host, port):
        _, line = await asyncio.to_thread(ask, f"http://{host}:{port}")
    assert "the served certificate expires in 1 hour " in line


async def test_a_first_generation_that_was_not_proven_is_not_ready(tmp_path):
    node = await open_node(tmp_path / "data", services(consumer(script(tmp_path / "reload", "exit 1"))))
    await install(node, real_bundle(LEAF, 1))
    assert len(failed(node)) == 1


async def test_the_endpoint_the_metrics_and_the_plugin_say_the_same(state):
    well = health(state)
    async with serve_health(well, host="127.0.0.1", port=0) as (host, port):
        url = f"http://{host}:{port}"
        assert await asyncio.to_thread(ask, url) == (
            OK,
            (
                "CERTCAST OK: 1 endpoint serves what is installed, 90 days left | days_left=90;30:;0: endpoints=1 "
                f"'web {state.local.serving[0].endpoint}'=90;30:;0:"
            ),
        )
        with await asyncio.to_thread(urllib.request.urlopen, f"{url}/metrics") as answer:
            page = answer.read().decode()
        state.clock = lambda: pki.NOW_S + 61 * pki.DAY_S
        assert (await asyncio.to_thread(ask, url))[0] == WARNING
        state.clock = lambda: pki.NOW_S + 91 * pki.DAY_S
        assert (await asyncio.to_thread(ask, url))[0] == CRITICAL
        with pytest.raises(urllib.error.HTTPError) as refused:
            await asyncio.to_thread(urllib.request.urlopen, f"{url}/health/ready")
        with refused.value as answer:
            assert answer.code == 503
            assert json.load(answer)["status"] == "failed"

    assert "certcast_agent_ready 1" in page
    assert "certcast_agent_applied_generation 1" in page
    assert f"certcast_agent_task_failures_total {Supervisor.failures}" in page
    assert f'slot="server"}} {pki.NOW_S + 90 * pki.DAY_S}' in page


async def talk(address, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(request)
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET /health/live?verbose HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"HEAD /health/live HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET /health/ready/../live HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"POST /health/live HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"HTTP/1.1 405 "),
        (b"nonsense\r\n\r\n", b"HTTP/1.1 400 "),
        *(
            (b"GET /metrics HTTP/" + version + b"\r\n\r\n", b"HTTP/1.1 400 ")
            for version in (b"0.9", b"1.2", b"1.10", b"2.0")
        ),
        (b"\x16\x03\x01\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b"HTTP/1.1 431 "),
    ],
)
async def test_only_what_is_there_is_answered(state, request_, answer):
    async with serve_health(health(state), host="127.0.0.1", port=0) as address:
        shown = await talk(address, request_)
        # who is answered before its whole request was read may see a reset instead
        assert shown.startswith(answer) or (len(request_) > 10_000 and shown == b"")
        assert (b"it answers" in shown) == (request_.startswith(b"GET /health/live"))


async def test_who_asks_slowly_is_hung_up_on(state, monkeypatch):
    monkeypatch.setattr(http_responder, "REQUEST_S", 0.2)
    async with serve_health(health(state), host="127.0.0.1", port=0) as address:
        assert await talk(address, b"GET /health/live HTTP/1.1\r\n") == b""


async def test_those_who_ask_nothing_keep_nobodys_answer_and_go_one_for_one(state):
    async with serve_health(health(state), host="127.0.0.1", port=0) as address:
        held = [await asyncio.open_connection(*address) for _ in range(3 * http_responder.CONNECTIONS_MAX)]
        assert (await talk(address, b"GET /health/live HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(PATIENCE_S):
            assert await held[0][0].read() == b""
        for _, writer in held:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def test_a_port_in_use_is_told_with_what_to_do(state):
    async with serve_health(health(state), host="127.0.0.1", port=0) as (host, port):
        with pytest.raises(CertcastError, match="choose another address"):
            async with serve_health(health(state), host=host, port=port):
                pass


async def test_a_manager_that_does_not_know_the_nodes_key_any_more_is_told_apart_at_once(state):
    well = health(state)
    well.status.welcomed, well.status.reason = False, Reason.UNREACHABLE
    assert [check.name for check in well.ready() if not check.ok] == []

    well.status.reason, well.status.trouble = (
        Reason.FORBIDDEN,
        "m:9422 does not know this node's key; join again",
    )
    (wrong,) = [check for check in well.ready() if not check.ok]
    assert wrong.message.startswith("the manager does not know this node's key any more: m:9422")
    assert wrong.level == "critical"


async def test_mistakes_in_the_nodes_configuration_warn_and_leave_the_node_ready(state):
    well = health(state)
    state.local.set_faults([ConfigurationFault(code="unit_missing", message="no unit x.service")])
    (wrong,) = [check for check in well.ready() if not check.ok]
    assert (wrong.name, wrong.level, wrong.message) == ("services", "warning", "no unit x.service")
    async with serve_health(well, host="127.0.0.1", port=0) as (host, port):
        code, line = await asyncio.to_thread(ask, f"http://{host}:{port}")
    assert (code, line.partition(" | ")[0]) == (WARNING, "CERTCAST WARNING: services: no unit x.service")
