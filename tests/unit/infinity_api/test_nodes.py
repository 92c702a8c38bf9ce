import pytest

from common.errors import InvalidInputError
from common.ids import NodeName
from manager.domain.model import NodeRecord
from manager.domain.view import NodeView, PushView
from manager.infinity_api.contract.bodies import read_values
from manager.infinity_api.contract.errors import ValuesError
from manager.infinity_api.contract.nodes import (
    describe,
    kept_values,
    names_called,
    new_name,
    node_row,
    nodes_called,
    status_row,
)
from manager.infinity_api.contract.resources.certificates import TLS_CERTIFICATE
from manager.infinity_api.contract.resources.nodes import MANAGEMENT_VM, WORKER_VM

BODY = {
    "name": "Oslo 1",
    "hostname": "conf1",
    "domain": "Example.test",
    "address": "192.0.2.10",
    "netmask": "255.255.255.0",
    "gateway": "192.0.2.1",
    "system_location": "/api/admin/configuration/v1/system_location/3/",
    "alternative_fqdn": "meet.example.test",
    "ipv6_address": "2001:db8::10",
    "tls_certificate": "/api/admin/configuration/v1/tls_certificate/5/",
    "snmp_privacy_password": "a-secret-of-snmp",
    "password": "a-secret-of-the-node",
    "maintenance_mode": True,
}


def values(**more) -> dict:
    return read_values(WORKER_VM, {**BODY, **more}, whole=True)


def record(**more) -> NodeRecord:
    given = {
        "id": 4,
        "name": NodeName("conf1"),
        "kind": "node",
        "names": ("conf1.example.test", "meet.example.test", "third.example.test"),
        "addresses": ("192.0.2.10", "192.0.2.11"),
        "public_key": "",
        "created_s": 0.0,
        "enrolled_s": None,
    }
    return NodeRecord(**{**given, **more})


@pytest.mark.parametrize(
    ("name", "taken", "expected"),
    [
        ("conf1", [], "conf1"),
        ("Oslo 1", [], "oslo-1"),
        ("Ærø/../x", [], "r-.-x"),
        ("Oslo 1", ["oslo-1"], "conf1.example.test"),
        ("management", ["management"], "conf1.example.test"),
        ("???", [], "conf1.example.test"),
    ],
)
def test_a_name_that_clients_may_choose_freely_becomes_a_nodes_name(name, taken, expected):
    assert new_name(values(name=name), taken) == expected


def test_a_node_for_which_no_name_is_left_is_refused():
    with pytest.raises(InvalidInputError):
        new_name(values(), [NodeName("oslo-1"), NodeName("conf1.example.test")])


def test_a_description_has_what_certcast_uses_and_keeps_the_rest_without_secrets():
    described = describe(WORKER_VM, values())
    assert described.names == ("conf1.example.test", "meet.example.test")
    assert described.addresses == ("192.0.2.10", "2001:db8::10")
    assert described.slots == {"server": 5, "client": None}
    assert described.detail["maintenance_mode"] is True
    assert described.detail["name"] == "Oslo 1"
    assert not any("secret" in str(value) for value in described.detail.values())
    assert not {"tls_certificate", "password"} & set(described.detail)


def test_a_node_comes_back_as_it_was_described():
    described = describe(WORKER_VM, values())
    kept = record(names=described.names, addresses=described.addresses, detail=described.detail)
    row = node_row(WORKER_VM, kept, {(kept.name, "server"): 5}, {3: "Oslo"})
    for name, value in values().items():
        if not WORKER_VM.by_name[name].secret:
            assert row[name] == value, name
    assert row["system_location__name"] == "Oslo"


def test_a_node_of_our_own_making_has_fields_from_its_names_and_addresses():
    row = node_row(WORKER_VM, record(), {}, {})
    assert [row[name] for name in ("name", "hostname", "domain", "address")] == [
        "conf1",
        "conf1",
        "example.test",
        "192.0.2.10",
    ]
    assert row["system_location"] is None
    assert row["tls_certificate"] is None


def test_a_change_keeps_names_and_addresses_that_no_field_speaks_of():
    known = record()
    before = kept_values(WORKER_VM, node_row(WORKER_VM, known, {}, {}))
    described = describe(WORKER_VM, {**before, "hostname": "conf2"}, known=known, before=before)
    assert described.names == ("conf2.example.test", "meet.example.test", "third.example.test")
    assert described.addresses == ("192.0.2.10", "192.0.2.11")
    assert described.slots == {}


def test_the_management_node_keeps_its_names_when_a_client_resets_its_fields():
    known = record(kind="management", name=NodeName("management"))
    before = kept_values(MANAGEMENT_VM, node_row(MANAGEMENT_VM, known, {}, {}))
    reset = {
        **before,
        "hostname": "",
        "domain": "",
        "address": "",
        "alternative_fqdn": "",
        "tls_certificate": None,
    }
    described = describe(MANAGEMENT_VM, reset, known=known, before=before)
    assert (described.names, described.addresses) == (known.names, known.addresses)
    assert described.slots == {"server": None}


def test_nodes_are_called_by_fqdn_or_name_in_any_case_and_each_unknown_one_is_named():
    records = [record(detail={"name": "Oslo 1"})]
    for text in ("conf1.example.test", "CONF1.example.test.", "conf1", "oslo 1", "third.example.test"):
        assert nodes_called(TLS_CERTIFICATE, [text, text], records) == ["conf1"]
    with pytest.raises(ValuesError) as caught:
        nodes_called(TLS_CERTIFICATE, ["conf1", "x", "y"], records)
    assert caught.value.findings == {"nodes": ["There is no node 'x'.", "There is no node 'y'."]}


def test_an_fqdn_calls_the_node_that_has_it_and_not_one_that_is_reached_by_it_too():
    reached = record(name=NodeName("a"), names=("a.test", "pool.test", "b.test", "c"))
    records = [reached, record(name=NodeName("b"), names=("b.test", "pool.test")), record(name=NodeName("c"))]
    assert nodes_called(TLS_CERTIFICATE, ["b.test", "c", "a.test"], records) == ["b", "c", "a"]
    with pytest.raises(ValuesError) as caught:
        nodes_called(TLS_CERTIFICATE, ["a.test", "pool.test"], records)
    assert caught.value.findings == {"nodes": ["'pool.test' is the name of several nodes: a, b."]}


def test_nodes_that_share_an_fqdn_are_called_by_their_own_names():
    records = [
        record(name=NodeName("a"), names=("A.test",)),
        record(name=NodeName("b"), names=("a.test",)),
        record(name=NodeName("c"), names=("c.test",)),
        record(name=NodeName("d"), names=()),
    ]
    names = names_called(records)
    assert names == {"a": "a", "b": "b", "c": "c.test", "d": "d"}
    assert nodes_called(TLS_CERTIFICATE, names.values(), records) == ["a", "b", "c", "d"]


def view(**more) -> NodeView:
    given = {
        "name": NodeName("conf1"),
        "kind": "node",
        "state": "in_sync",
        "joined": True,
        "connected_at_s": 10.0,
        "last_report_at_s": 50.0,
        "address": "",
        "agent_version": "1.2",
        "desired": None,
        "offered": None,
        "applied": None,
        "slots": {},
        "serving": (),
        "last_failed": None,
        "drifted": False,
        "drifts": 0,
        "clock_skew_s": 0.0,
        "waiting": (),
        "push": None,
    }
    return NodeView(**{**given, **more})


def push(result: str) -> PushView:
    return PushView(
        push_id="p",
        generation=1,
        changed_at_s=1.0,
        offered_at_s=60.0,
        concluded_at_s=61.0,
        phase=None,
        result=result,
        reason="",
        message="",
    )


@pytest.mark.parametrize(
    ("state", "result", "sync", "updated_s"),
    [
        ("in_sync", "applied", "SYNCED", 61.0),
        ("in_sync", None, "SYNCED", 50.0),
        ("installing", "", "SYNCING", None),
        ("pending", None, "PENDING", None),
        ("failed", "rolled_back", "FAILED", None),
        ("drifted", "applied", "FAILED", 61.0),
        ("not_serving", None, "FAILED", None),
        ("reload_waiting", "applied", "PENDING", 61.0),
        ("conflict", None, "FAILED", None),
        ("offline", "applied", "OFFLINE", 61.0),
        ("never_joined", None, "NOT_JOINED", None),
    ],
)
def test_the_state_of_a_node_is_what_it_said_itself(state, result, sync, updated_s):
    row = status_row(record(), view(state=state, push=push(result) if result is not None else None), "Oslo")
    assert (row["sync_status"], row["last_updated"], row["system_location"]) == (sync, updated_s, "Oslo")
    assert row["last_attempted_contact"] == (60.0 if result is not None else 50.0)
    assert row["last_reported"] == 50.0
