"""A service whose reload waits for its window, on real daemons: what the manager shows, and that it is loaded in the end."""

import signal
import time

import pytest

from tests import pki
from tests.patience import ended
from tests.system.fleet import real_fleet, reloads

_, ISSUER = pki.current_ca("Waiting")


def far_window() -> str:
    """An hour of the local day that is twelve hours away."""
    hour = (time.localtime().tm_hour + 12) % 24
    return f"{hour:02d}:00-{hour:02d}:59"


@pytest.mark.services("nginx")
async def test_a_reload_that_waits_is_reported_and_is_made_when_it_may():
    async with real_fleet() as fleet:
        node = await fleet.site.add_node("sip")
        first = await fleet.upload(
            pki.current_leaf(ISSUER, ["a.example.test"]), ISSUER.certificate_pem, ["sip"]
        )
        await fleet.until_served(first, "sip")
        settings = node.directory / "services.toml"
        always = settings.read_text()
        held = f'impact = "drops_calls"\nwindow = "{far_window()}"\ntimeout_s'
        settings.write_text(always.replace("timeout_s", held, 1))
        agent = fleet.site.processes["sip.log"]
        agent.send_signal(signal.SIGHUP)
        log = fleet.site.directory / "sip.log"
        await fleet.until(lambda _: "services.read" in log.read_text())
        before = reloads(node)

        second = await fleet.upload(
            pki.current_leaf(ISSUER, ["a.example.test"]), ISSUER.certificate_pem, ["sip"]
        )
        await fleet.until(lambda nodes: nodes["sip"]["state"] == "reload_waiting")
        shown = await fleet.node("sip")
        slot = shown["slots"]["server"]
        assert (slot["desired"], slot["applied"], slot["serving"]) == (second, second, first)
        assert [(one["consumer"], one["reason"]) for one in shown["waiting"]] == [("nginx", "window")]
        assert "waits for its window" in await fleet.site.run("certcast", "node", "show", "sip")
        assert reloads(node) == before

        # a restart of the agent forgets nothing
        agent.kill()
        await ended(agent)
        await fleet.until(lambda nodes: nodes["sip"]["state"] == "offline")
        await fleet.site.start_agent(node)
        await fleet.until(lambda nodes: nodes["sip"]["state"] == "reload_waiting")
        assert reloads(node) == before

        settings.write_text(always)
        fleet.site.processes["sip.log"].send_signal(signal.SIGHUP)
        await fleet.until_served(second, "sip")
        assert reloads(node) == before + 1
