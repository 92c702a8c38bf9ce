"""A second manager with real daemons: it joins the first one's store, is refused while that serves, and takes over where it stops."""

import asyncio
import re
import ssl

import pytest

from common.ids import fingerprint_of
from demo.run import ready
from demo.site import Site
from manager.store.sealing import KEK_FILE
from tests import pki
from tests.patience import ended
from tests.postgres import NEEDED, Cluster
from tests.system.debian import REPOSITORY
from tests.system.fleet import RealFleet, real_fleet

MARKED = re.compile(r"^<!-- scaling: (token|join) -->\n\n    (.+)\n", re.MULTILINE)
ROOT, INTERMEDIATE = pki.current_ca("System")


def second_of(site: Site) -> Site:
    """Another machine's manager, which takes the first one's ports; its log is in the same directory."""
    second = Site.__new__(Site)
    second.__dict__.update(site.__dict__)
    second.data = site.directory / "second"
    second.processes = {}
    return second


async def served(site: Site) -> bytes:
    """Return the certificate that a manager shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", site.https, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return der


async def own_fingerprint(site: Site) -> str:
    return (await site.run("certcast-manager", "fingerprint", "--data", str(site.data))).strip()


async def stop(site: Site, log: str = "manager.log") -> None:
    process = site.processes.pop(log)
    process.terminate()
    assert await ended(process) == 0


async def join(first: Site, second: Site) -> str:
    """Make a token where the first manager runs, and let the second join by it, with the words of the document."""
    typed = dict(MARKED.findall((REPOSITORY / "docs/scaling.md").read_text()))
    token = (await first.run(*typed["token"].split(), "--data", str(first.data))).strip()
    said = await second.run(*typed["join"].split(), "--token-stdin", "--data", str(second.data), stdin=token)
    assert token not in said
    return said


async def what_is_refused(first: Site, second: Site) -> None:
    token = (await first.run("certcast-manager", "cluster-token", "--data", str(first.data))).strip()
    other = first.directory / "other"
    other.mkdir(mode=0o700)
    (other / "notes.txt").write_text("mine")
    for data, given, words in (
        (other, token, "is not empty: it has 'notes.txt'"),
        (second.data, token, "is that of manager 'management-2' already"),
        (first.directory / "new", "certcast1.abc", "a manager's token begins with"),
    ):
        with pytest.raises(RuntimeError, match=re.escape(words)) as caught:
            await second.run(
                *("certcast-manager", "join-cluster", "--token-stdin", "--data", str(data)), stdin=given
            )
        assert token not in str(caught.value)
    with pytest.raises(RuntimeError, match="one of this machine only"):
        await first.run("certcast-manager", "cluster-token", "--with-database", "--data", str(first.data))
    with pytest.raises(RuntimeError, match="a manager serves the store"):
        await second.run(
            *("certcast-manager", "serve", "--data", str(second.data)),
            *("--https", "127.0.0.1:0", "--ssh", "127.0.0.1:0"),
        )


@pytest.mark.timeout(300)
@NEEDED
@pytest.mark.services("nginx", "postgres", "root")
async def test_a_second_manager_joins_and_takes_over_where_the_first_stops(cluster: Cluster, monkeypatch):
    cluster.make_database(name := "second_manager")
    monkeypatch.setenv("CERTCAST_MANAGER_DATABASE", cluster.url(name))
    async with real_fleet() as fleet:
        first, second = fleet.site, second_of(fleet.site)
        await first.add_node("n1")
        made = pki.current_leaf(INTERMEDIATE, ["conf.example.test"])
        await fleet.until_served(await fleet.upload(made, INTERMEDIATE.certificate_pem, ["n1"]), "n1")
        said = await join(first, second)
        assert "manager 'management-2' now" in said
        assert (second.data / KEK_FILE).read_bytes() == (first.data / KEK_FILE).read_bytes()
        modes = {path.stat().st_mode & 0o077 for path in (second.data, *second.data.iterdir())}
        assert modes == {0}
        await what_is_refused(first, second)
        # known where the first serves, without a restart
        await fleet.until(lambda nodes: nodes["management-2"]["kind"] == "management")

        await stop(first)
        await second.serve()
        await ready(second, fleet.session)
        mine, others = await own_fingerprint(second), await own_fingerprint(first)
        assert mine != others
        assert fingerprint_of(await served(second)) == mine
        again = RealFleet(second, fleet.session)
        made = pki.current_leaf(INTERMEDIATE, ["conf.example.test"])
        await again.until_served(await again.upload(made, INTERMEDIATE.certificate_pem, ["n1"]), "n1")
        announced = (await again.api.call("GET", "fleet"))["manager_addresses"]
        assert f"manager2.example.com:{second.ssh}" in announced
        with pytest.raises(RuntimeError, match="cannot be removed"):
            await again.api.call("DELETE", "nodes/management-2")

        # and back
        await stop(second)
        await first.serve()
        await fleet.until_ready()
        await fleet.until(
            lambda nodes: nodes["n1"]["connected_s"] and not nodes["management-2"]["connected_s"]
        )
        assert (
            f"manager2.example.com:{second.ssh}"
            in (await fleet.api.call("GET", "fleet"))["manager_addresses"]
        )
        logs = "".join(path.read_text() for path in first.directory.glob("*.log"))
        kek = (first.data / KEK_FILE).read_bytes()
        assert kek.hex() not in logs
        assert repr(kek)[2:-1] not in logs
    cluster.drop_database(name)
