"""The list of nodes: what is searched, chosen and sorted is all of them; what is made is a page."""

from types import SimpleNamespace

import pytest

from common.ids import NodeName
from manager.domain.brief import NodeBrief
from manager.domain.model import NodeRecord
from manager.web import node_rows
from manager.web.node_rows import NodeOrder, NodeQuery, list_rows

NODES = 2000
SIZE = 50
STATES = ("in_sync", "failed", "offline")


def record(number: int) -> NodeRecord:
    name = NodeName(f"n{number:05}")
    return NodeRecord(
        id=number,
        name=name,
        kind="node",
        names=(f"{name}.example.com",),
        addresses=(f"192.0.2.{number % 250}",),
        public_key="",
        created_s=0.0,
        enrolled_s=None,
        detail={"system_location": number % 2},
    )


def brief(number: int) -> NodeBrief:
    return NodeBrief(
        name=NodeName(f"n{number:05}"),
        kind="node",
        state=STATES[number % 3],
        joined=True,
        agent_version="",
        manager_addresses=None,
        last_report_at_s=float(NODES - number),
        serving=(),
        served={},
        push=None,
    )


def entry(name: str, end_s: int) -> SimpleNamespace:
    return SimpleNamespace(
        leaf=SimpleNamespace(display_name=name, subject_alt_names=(name,), not_after_s=end_s)
    )


RECORDS = {each.name: each for each in map(record, range(NODES))}
BRIEFS = {each.name: each for each in map(brief, range(NODES))}
INVENTORY = SimpleNamespace(
    nodes=RECORDS,
    entries={1: entry("conf.example.org", 300), 2: entry("edge.example.org", 200)},
    slots={(name, "server"): 2 if record.id >= NODES - 3 else 1 for name, record in RECORDS.items()},
)
LOCATIONS = {0: "Oslo", 1: "Bergen"}


@pytest.fixture
def made(monkeypatch) -> list[NodeName]:
    """Return the nodes of which rows were made."""
    names, row = list[NodeName](), node_rows._row

    def counted(inventory, record, locations):
        names.append(record.name)
        return row(inventory, record, locations)

    monkeypatch.setattr(node_rows, "_row", counted)
    return names


def found(**wanted) -> tuple[int, list[int]]:
    page = list_rows(INVENTORY, BRIEFS, NodeQuery(size=SIZE, **wanted), LOCATIONS)
    return page.total, [row.record.id for row in page.entries]


@pytest.mark.parametrize("page", [1, 7, NODES // SIZE])
@pytest.mark.parametrize("order", list(NodeOrder))
@pytest.mark.parametrize("states", [(), ("failed",)])
def test_a_page_makes_the_rows_that_it_shows_and_no_other(made, page, order, states):
    total, shown = found(page=page, order=order, states=states)
    assert total == (len([each for each in BRIEFS.values() if each.state in states]) if states else NODES)
    assert len(made) == len(shown) <= SIZE


@pytest.mark.parametrize("order", list(NodeOrder))
@pytest.mark.parametrize("descending", [False, True])
def test_pages_together_have_every_node_once(order, descending):
    pages = [found(page=page, order=order, descending=descending)[1] for page in range(1, NODES // SIZE + 1)]
    assert sorted(number for page in pages for number in page) == list(range(NODES))


def test_the_order_is_that_of_all_nodes():
    assert found(order=NodeOrder.LAST_SEEN)[1][:2] == [NODES - 1, NODES - 2]
    assert found(order=NodeOrder.EXPIRY)[1][:4] == [NODES - 3, NODES - 2, NODES - 1, 0]
    assert found(order=NodeOrder.NAME, descending=True)[1][0] == NODES - 1
    assert found(order=NodeOrder.STATE)[1][:2] == [0, 3]


@pytest.mark.parametrize(
    ("search", "total"),
    [
        ("N01999", 1),
        ("n00007.example.com", 1),
        ("192.0.2.249", NODES // 250),
        ("bergen", NODES // 2),
        ("EDGE", 3),
        ("example.org", NODES),
        ("nowhere", 0),
    ],
)
def test_a_search_looks_at_every_node_and_what_it_has(search, total):
    assert found(search=search)[0] == total


def test_a_page_after_the_last_is_empty():
    assert found(page=NODES)[1] == []


def test_only_what_needs_every_node_looks_at_every_node():
    assert not NodeQuery(size=SIZE, page=9).looks_at_all
    assert NodeQuery(size=SIZE, search="x").looks_at_all
    assert NodeQuery(size=SIZE, states=("failed",)).looks_at_all
    assert NodeQuery(size=SIZE, order=NodeOrder.STATE).looks_at_all
    assert NodeQuery(size=SIZE, descending=True).looks_at_all
