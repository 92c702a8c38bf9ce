"""The page of one node."""

from dataclasses import replace

from common.api.codes import Role
from common.ids import NodeName
from manager.domain.report import Applied, ConfigurationFault, Failure, PartRefused, Serving, Waiting
from manager.fleet.pushes import Pushes
from tests.browser.showroom import Showroom
from tests.integration.api import ApiClient
from tests.integration.web import visitor
from tests.integration.web_pages.nodes.conftest import applied


async def test_a_node_has_its_four_facts_side_by_side(api: ApiClient, room: Showroom):
    await applied(room, "n1")
    room.simulators["n1"].behaviour = "rolls_back"
    await room.upload(["new.example.com"], days=300, nodes=["n1"])
    await room.require_confirmation()
    async with visitor(api, Role.READ_ONLY) as browser:
        answer = await browser.get("/nodes/n1")
        row = next(row for row in answer.html.split("<tr>") if '<th scope="row">Server' in row)
        desired, offered, applied_cell, serving = row.split("<td")[1:5]
        assert "new.example.com" in desired
        assert "new.example.com" in offered
        assert "n1.example.com" in applied_cell
        assert "n1.example.com" in serving
        assert "Last failure" in answer.text
        assert "the old leaf is served" in answer.text
        assert "rolled back in phase verify" in answer.text
        assert "Retire" not in answer.text


async def test_a_node_whose_first_installation_failed_is_not_said_to_serve_what_it_had(
    api: ApiClient, room: Showroom, monkeypatch
):
    await applied(room, "n1")
    # a second generation, whether or not the node and its certificate were one
    assert await room.upload(["n1.example.com"], days=300, nodes=["n1"])
    await room.api.fleet.push(None, forced=True)
    await room.require_confirmation()
    # from here on the node's facts are those of the test
    monkeypatch.setattr(Pushes, "_offer", lambda *_arguments, **_more: None)
    facts = api.fleet.registry.get(NodeName("n1"))
    version, leaf = facts.desired.version, facts.applied.leaves["server"]
    failed = Failure(
        epoch=version.epoch,
        generation=version.generation,
        digest=version.digest,
        result="failed",
        phase="reload",
        reason="reload_failed",
        message="badsrv: exit status 1",
        at_s=1_800_000_000,
        attempts=1,
        retry_after_s=60,
    )
    served = Serving(consumer="nginx", endpoint="127.0.0.1:443", slot="server", leaf=leaf)
    facts.applied, facts.disk, facts.reported_failed, facts.serving = None, "", failed, (served,)
    assert facts.state() == "failed"
    async with visitor(api, Role.READ_ONLY) as browser:
        answer = await browser.get("/nodes/n1")
        assert "it still serves what it had" not in answer.text
        assert "Nothing was installed on it before, so it keeps the new files" in answer.text
        row = next(row for row in answer.html.split("<tr>") if '<th scope="row">Server' in row)
        # not "bad" alone: a fingerprint may have it
        assert " bad" not in row.split("<td")[4], "what it serves is what is desired"
        assert (
            " bad"
            not in next(row for row in answer.html.split("<tr>") if "127.0.0.1:443" in row).partition(
                "Protocol"
            )[0]
        )

        facts.applied = Applied(
            epoch=1, generation=version.generation, digest="ab" * 32, leaves={"server": leaf}
        )
        facts.refused_parts = (PartRefused(part="client", digest="", reason="reload_failed"),)
        answer = await browser.get("/nodes/n1")
        assert f"Generation {version.generation} is installed without the client certificate." in answer.text
        facts.applied = Applied(epoch=1, generation=1, digest="ab" * 32, leaves={"server": leaf})
        facts.refused_parts = ()
        facts.reported_failed = replace(failed, generation=version.generation)
        assert "It keeps generation 1." in (await browser.get("/nodes/n1")).text


async def test_a_node_shows_its_endpoints_waiting_reloads_and_diagnostics(api: ApiClient, room: Showroom):
    await applied(room, "n1")
    facts = api.fleet.registry.get(NodeName("n1"))
    leaf = facts.applied.leaves["server"]
    facts.serving = (
        Serving(
            consumer="nginx",
            endpoint="127.0.0.1:443",
            slot="server",
            leaf=leaf,
            not_after_s=1_900_000_000,
            at_s=1_800_000_000,
            tls="TLSv1.3",
            sent=1,
            strict_client="no path to a trusted root",
        ),
        Serving(
            consumer="sip",
            endpoint="127.0.0.1:5061",
            slot="server",
            leaf="",
            reason="verify_unreachable",
            message="connection refused",
        ),
    )
    facts.waiting = (Waiting(consumer="sip", since_s=1_800_000_000, reason="window", message="at 02:00"),)
    facts.configuration = (ConfigurationFault(code="services_invalid", message="line 3: relaod"),)
    async with visitor(api, Role.READ_ONLY) as browser:
        answer = await browser.get("/nodes/n1")
        for text in (
            "TLSv1.3",
            "no path to a trusted root",
            "verify unreachable : connection refused",
            "for its window: at 02:00",
            "line 3: relaod",
            "2027-01-15 08:00 UTC",
        ):
            assert text in answer.text, text
        # the one that waits on purpose is told of as waiting, and stands first
        assert answer.html.index("127.0.0.1:5061") < answer.html.index("127.0.0.1:443")


async def test_a_certificate_is_chosen_for_a_slot_and_taken_away(api: ApiClient, room: Showroom):
    await room.add_node("n1")
    number = await room.upload(["one.example.com"], days=100)
    await room.upload(["two.example.com"], days=100)
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        offered = await browser.get("/nodes/n1/slots/server?search=one.")
        assert "one.example.com" in offered.text
        assert "two.example.com" not in offered.text
        assert (await browser.post("/nodes/n1/slots/server")).status == 400
        asked = await browser.post("/nodes/n1/slots/server", {"certificate": str(number)})
        assert asked.status == 409
        assert "It is not valid for names of n1 (n1.example.com)" in asked.text
        answer = await browser.post(
            "/nodes/n1/slots/server", {"certificate": str(number), "confirm": asked.hidden["confirm"]}
        )
        assert f"Certificate {number} is assigned" in answer.text
        inventory = await api.use_cases.inventory()
        assert inventory.slots == {("n1", "server"): number}
        asked = await browser.get("/nodes/n1/slots/server/empty")
        assert "keeps serving it" in asked.text
        answer = await browser.post(
            "/nodes/n1/slots/server/empty", {"seen": str(number), "confirm": asked.hidden["confirm"]}
        )
        assert "has no certificate now" in answer.text
        inventory = await api.use_cases.inventory()
        assert inventory.slots == {}
        assert (await browser.get("/nodes/n1/slots/server/empty")).status == 404
        assert (await browser.get("/nodes/n1/slots/attic")).status == 400


async def test_what_is_typed_or_reported_is_never_markup(api: ApiClient, room: Showroom):
    await applied(room, "n1")
    facts = api.fleet.registry.get(NodeName("n1"))
    facts.serving = (
        Serving(
            consumer="<b>x", endpoint="<i>y", slot="server", leaf="", reason="timeout", message="<script>"
        ),
    )
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        assert "<script>" not in (await browser.get("/nodes/n1")).html
        answer = await browser.get("/nodes?search=%22%3E%3Cscript%3Ealert(1)")
        assert "<script>alert" not in answer.html


async def test_the_second_of_two_administrators_is_told_what_the_first_assigned(
    api: ApiClient, room: Showroom
):
    await room.add_node("n1")
    first = await room.upload(["first.example.com"], days=100)
    second = await room.upload(["second.example.com"], days=100)
    async with visitor(api, Role.ADMINISTRATOR) as one, visitor(api, Role.ADMINISTRATOR) as two:
        await two.get("/nodes/n1/slots/server")
        await one.post_confirmed("/nodes/n1/slots/server", {"certificate": str(first)})
        answer = await two.post("/nodes/n1/slots/server", {"certificate": str(second)})
        assert answer.status == 409
        assert "Somebody else changed this in the meantime" in answer.text
        inventory = await api.use_cases.inventory()
        assert inventory.slots == {("n1", "server"): first}
        fields = {name: answer.hidden[name] for name in ("certificate", "seen")}
        assert fields == {"certificate": str(second), "seen": str(first)}
        assert (await two.post_confirmed("/nodes/n1/slots/server", fields)).status == 200
        # who looked before that empties nothing
        assert (await one.post("/nodes/n1/slots/server/empty", {"seen": str(first)})).status == 409
        inventory = await api.use_cases.inventory()
        assert inventory.slots == {("n1", "server"): second}


async def test_the_second_of_two_administrators_is_told_how_the_first_described_a_node(
    api: ApiClient, room: Showroom
):
    await room.add_node("n1")
    async with visitor(api, Role.ADMINISTRATOR) as one, visitor(api, Role.ADMINISTRATOR) as two:
        seen = (await two.get("/nodes/n1/edit")).hidden["seen"]
        bad = await two.post("/nodes/n1/edit", {"names": "not..a.name", "addresses": "x", "seen": seen})
        assert bad.status == 400
        assert "is not a DNS name" in bad.text
        assert "is not an IP address" in bad.text
        assert bad.hidden["seen"] == seen
        await one.post("/nodes/n1/edit", {"names": "theirs.example.com", "addresses": "", "seen": seen})
        mine = {"names": "mine.example.com", "addresses": "192.0.2.8", "seen": seen}
        answer = await two.post("/nodes/n1/edit", mine)
        assert answer.status == 409
        assert "stored: theirs.example.com" in answer.text
        assert "mine.example.com" in answer.values["names"][0]
        answer = await two.post("/nodes/n1/edit", {**mine, "seen": answer.hidden["seen"]})
        assert answer.status == 200
        record = await api.context.store.nodes.get(NodeName("n1"))
        assert (record.names, record.addresses) == (("mine.example.com",), ("192.0.2.8",))


async def test_certificates_that_are_valid_for_the_node_come_first_and_other_names_are_asked_about(
    api: ApiClient, room: Showroom
):
    await room.add_node("n1")
    await room.upload(["other.example.com"], days=300)
    number = await room.upload(["n1.example.com"], days=100)
    await room.upload(["n1.example.com"], days=-3)
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        offered = await browser.get("/nodes/n1/slots/server")
        assert offered.text.index("n1.example.com · valid for this node") < offered.text.index(
            "other.example"
        )
        assert offered.text.count("valid for this node") == 1
        form = await browser.get("/nodes/n1/edit")
        await browser.post_confirmed("/nodes/n1/slots/server", {"certificate": str(number)})
        fields = {"names": "new.example.com", "addresses": "", "seen": form.hidden["seen"]}
        asked = await browser.post("/nodes/n1/edit", fields)
        assert asked.status == 409
        assert "It is not valid for names of n1 (new.example.com)" in asked.text
        assert asked.values["names"] == ["new.example.com"]
        saved = await browser.post("/nodes/n1/edit", {**fields, "confirm": asked.hidden["confirm"]})
        assert "Saved." in saved.text
