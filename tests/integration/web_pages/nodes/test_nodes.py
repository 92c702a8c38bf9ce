"""The pages that list nodes, add one and retire one."""

from common.api.codes import Role
from common.ids import NodeName
from manager.web.pages import nodes as pages
from tests.browser.showroom import Showroom
from tests.integration.api import ApiClient
from tests.integration.web import visitor
from tests.integration.web_pages.nodes.conftest import applied


def cells(html: str, name: str) -> str:
    """Return the row of the list that links to a node."""
    return next(row for row in html.split("<tr>") if f'href="/nodes/{name}"' in row)


async def test_the_list_says_how_each_node_stands_and_what_it_serves(api: ApiClient, room: Showroom):
    await applied(room, "n1")
    await room.add_node("n2")
    await room.add_node("n3", joined=False)
    async with visitor(api, Role.READ_ONLY) as browser:
        answer = await browser.get("/nodes")
        assert "3 nodes" in answer.text
        assert "In sync" in cells(answer.html, "n1")
        assert "n1.example.com</a>" in cells(answer.html, "n1")
        assert "Offline" in cells(answer.html, "n2")
        assert "no certificate" in cells(answer.html, "n2")
        assert "Never joined" in cells(answer.html, "n3")
        # nothing to press for who may only look
        assert "Push to selected" not in answer.text
        assert "/nodes/new" not in answer.html


async def test_the_list_is_searched_by_name_address_location_and_certificate_and_kept_by_state(
    api: ApiClient, room: Showroom
):
    number = await api.context.store.documents.add("system_location", {"name": "Oslo"})
    await api.context.store.nodes.add(
        NodeName("fjord"),
        "node",
        names=["bergen.example.com"],
        addresses=["198.51.100.9"],
        detail={"system_location": number},
        now_s=0,
    )
    api.fleet.node_added(await api.context.store.nodes.get(NodeName("fjord")))
    await room.add_node("other")
    await room.upload(["west.example.com"], days=9, nodes=["fjord"])
    async with visitor(api, Role.READ_ONLY) as browser:
        for search in ("FJORD", "bergen", "198.51.100.9", "oslo", "west.ex"):
            answer = await browser.get(f"/nodes?search={search}")
            assert "1 node found" in answer.text, search
            assert 'href="/nodes/fjord"' in answer.html, search
        assert "No matches." in (await browser.get("/nodes?search=nowhere")).text
        assert "1 node found" in (await browser.get("/nodes?state=never_joined&state=failed")).text
        assert "1 node found" in (await browser.get("/nodes?state=offline")).text
        assert (await browser.get("/nodes?state=happy")).status == 400
        assert (await browser.get("/nodes?order=colour")).status == 400


async def test_the_list_is_ordered_and_in_pages_that_keep_what_was_asked(
    api: ApiClient, room: Showroom, monkeypatch
):
    monkeypatch.setattr(pages, "SIZE", 2)
    for name, days in (("a", 30), ("b", 10), ("c", 20)):
        await room.add_node(name)
        await room.upload([f"{name}.example.com"], days=days, nodes=[name])
    async with visitor(api, Role.READ_ONLY) as browser:
        answer = await browser.get("/nodes?order=expiry&state=offline&state=failed")
        shown = [name for name in "abc" if f'href="/nodes/{name}"' in answer.html]
        assert shown == ["b", "c"]
        assert answer.html.index('href="/nodes/b"') < answer.html.index('href="/nodes/c"')
        assert "state=offline&amp;state=failed" in answer.html.replace("&amp;order=expiry", "")
        answer = await browser.get("/nodes?order=expiry&state=offline&state=failed&page=2")
        assert [name for name in "abc" if f'href="/nodes/{name}"' in answer.html] == ["a"]
        answer = await browser.get("/nodes?order=-name")
        assert [name for name in "abc" if f'href="/nodes/{name}"' in answer.html] == ["b", "c"]


async def test_adding_a_node_shows_its_join_command_once(api: ApiClient):
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        answer = await browser.post(
            "/nodes/new",
            {"name": "conf1", "names": "conf1.example.com\r\nmeet.example.com", "addresses": "192.0.2.21"},
        )
        assert answer.status == 200
        assert "certcast-nodeagent join certcast1." in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        record = await api.context.store.nodes.get(NodeName("conf1"))
        assert (record.names, record.addresses) == (
            ("conf1.example.com", "meet.example.com"),
            ("192.0.2.21",),
        )
        token = answer.text.partition("nodeagent join ")[2].split()[0]
        assert token not in (await browser.get("/nodes/conf1")).html
        again = await browser.post("/nodes/conf1/join-token")
        assert "certcast-nodeagent join certcast1." in again.text
        assert token not in again.html


async def test_a_refused_node_comes_back_with_all_fields_and_all_findings(api: ApiClient):
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        fields = {"name": "Conf 1", "names": "a_b..c\nfine.example.com", "addresses": "192.0.2.300"}
        answer = await browser.post("/nodes/new", fields)
        assert answer.status == 400
        for part in ("is not a node name", "is not a DNS name", "is not an IP address"):
            assert part in answer.text
        assert answer.values["name"] == ["Conf 1"]
        assert "a_b..c" in answer.values["names"][0]
        assert "192.0.2.300" in answer.values["addresses"][0]
        await browser.post("/nodes/new", {"name": "n1"})
        answer = await browser.post("/nodes/new", {"name": "n1", "addresses": "192.0.2.4"})
        assert answer.status == 409
        assert "a node 'n1' already exists" in answer.text.lower()
        assert "192.0.2.4" in answer.values["addresses"][0]


async def test_retiring_says_what_follows_before_it_is_done(api: ApiClient, room: Showroom):
    await applied(room, "n1")
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        asked = await browser.get("/nodes/n1/retire")
        assert "connection ends at once" in asked.text
        assert "stays in the store, assigned to no node" in asked.text
        assert "n1" in api.fleet.names()
        assert (await browser.post("/nodes/n1/retire")).status == 409
        answer = await browser.post("/nodes/n1/retire", {"confirm": asked.hidden["confirm"]})
        assert "Node n1 is retired" in answer.text
        assert api.fleet.names() == []
        assert (await browser.get("/nodes/n1")).status == 404
