"""Metrics of the daemons as they are composed: what Prometheus scrapes is what the fleet is."""

import asyncio
import subprocess

import aiohttp
import pytest
from cryptography import x509
from prometheus_client.parser import text_string_to_metric_families

from demo.services import TINY
from tests import pki
from tests.patience import PATIENCE_S
from tests.system.fleet import real_fleet

_, INTERMEDIATE = pki.current_ca("Metrics")


async def scrape(session: aiohttp.ClientSession, url: str) -> tuple[str, dict[tuple[str, str], float]]:
    async with session.get(f"{url}/metrics") as answer:
        text = await answer.text()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return text, {
        (
            sample.name,
            ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items())),
        ): sample.value
        for sample in samples
    }


@pytest.mark.slow
async def test_what_expires_is_applied_and_alarms_is_in_the_metrics_of_the_running_daemons():
    leaf = pki.current_leaf(INTERMEDIATE, ["metrics.demo.test"], days=100)
    soon = pki.current_leaf(INTERMEDIATE, ["metrics.demo.test"], days=20)
    ends_s = x509.load_pem_x509_certificate(leaf.certificate_pem.encode()).not_valid_after_utc.timestamp()
    async with real_fleet() as fleet:
        node = await fleet.site.add_node("web", TINY)
        await fleet.until_served(await fleet.upload(leaf, INTERMEDIATE.certificate_pem, ["web"]), "web")
        text, samples = await scrape(fleet.session, fleet.site.url)

        assert [name for name in samples if name[0] == "certcast_build_info"] != []
        assert samples["certcast_nodes", "state=in_sync"] >= 1
        assert samples["certcast_pushes_total", "result=applied"] >= 1
        assert samples["certcast_change_to_applied_seconds_count", ""] >= 1
        assert ("certcast_task_failures_total", "") in samples
        assert samples["certcast_served_expiring", "days=30"] == 0
        assert samples["certcast_served_expiry_timestamp_seconds", ""] == ends_s
        assert samples["certcast_certificates_expiring", "days=30"] == 0
        assert ends_s in [
            value
            for (name, _), value in samples.items()
            if name == "certcast_certificate_expiry_timestamp_seconds"
        ]
        assert samples["certcast_alarms", "kind=certificate_expiring,level=warning"] == 0
        assert "web" not in text.replace("certcast_web", "")

        await fleet.until_served(await fleet.upload(soon, INTERMEDIATE.certificate_pem, ["web"]), "web")
        async with asyncio.timeout(PATIENCE_S):
            while samples["certcast_alarms", "kind=certificate_expiring,level=warning"] == 0:
                await asyncio.sleep(0.2)
                _, samples = await scrape(fleet.session, fleet.site.url)
        assert samples["certcast_served_expiring", "days=30"] == 1
        assert samples["certcast_certificates_expiring", "days=30"] == 1

        _, samples = await scrape(fleet.session, f"http://127.0.0.1:{node.health}")
        assert samples["certcast_agent_ready", ""] == 1
        assert samples["certcast_agent_drifts_total", ""] == 0
        assert samples["certcast_agent_task_failures_total", ""] == 0
        assert [
            value
            for (name, _), value in samples.items()
            if name == "certcast_agent_served_expiry_timestamp_seconds"
        ] == [x509.load_pem_x509_certificate(soon.certificate_pem.encode()).not_valid_after_utc.timestamp()]


@pytest.mark.services("promtool")
async def test_promtool_finds_nothing_to_say_about_either_page():
    async with real_fleet() as fleet:
        node = await fleet.site.add_node("web", TINY)
        await fleet.until(lambda nodes: nodes["web"]["state"] == "in_sync")
        for url in (fleet.site.url, f"http://127.0.0.1:{node.health}"):
            text, _ = await scrape(fleet.session, url)
            done = await asyncio.to_thread(
                subprocess.run,
                ["promtool", "check", "metrics"],
                input=text.encode(),
                capture_output=True,
                check=False,
                timeout=PATIENCE_S,
            )
            assert (done.returncode, done.stdout.decode() + done.stderr.decode()) == (0, "")
