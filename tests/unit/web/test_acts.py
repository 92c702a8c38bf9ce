"""Acts of the audit log in sentences."""

import json
import re
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

import manager
from manager.domain.audit import AuditRecord
from manager.web.acts import _PAGES, _WORDS, act_of
from manager.web.site import PAGES

SOURCES = Path(manager.__file__).parent


def record(action: str, subject: str, detail: object = None) -> AuditRecord:
    return AuditRecord(
        id=1, at_s=0, actor="ada", action=action, subject=subject, detail=json.dumps(detail), chain=""
    )


async def nothing(_: web.Request) -> web.Response:
    return web.Response()


def said(action: str, subject: str, detail: object = None) -> str:
    act = act_of(record(action, subject, detail))
    return " ".join(f"{act.before} {act.subject} {act.after}".split())


@pytest.mark.parametrize(
    ("action", "subject", "detail", "sentence"),
    [
        (
            "certificate.assigned",
            "certificate 7",
            {"nodes": ["a", "b"], "slot": "server"},
            "assigned certificate 7 to a, b",
        ),
        (
            "certificate.assigned",
            "certificate 7",
            {"nodes": ["a"], "slot": "client"},
            "assigned certificate 7 to a as the client certificate",
        ),
        (
            "certificate.assigned",
            "certificate 7",
            {"nodes": list("abcdefg")},
            "assigned certificate 7 to a, b, c, d, e and 2 more",
        ),
        (
            "certificate.uploaded",
            "certificate 7",
            {"nodes": ["a", "b"]},
            "added certificate 7 and assigned it to a, b",
        ),
        ("certificate.updated", "certificate 7", {"nodes": ["a"]}, "updated certificate 7 (used by a)"),
        ("certificate.updated", "certificate 7", {"nodes": []}, "updated certificate 7"),
        (
            "certificate.updated",
            "certificate 7",
            {"certificate": False, "parameters": True, "private_key": False, "nodes": None},
            "updated certificate 7 (its parameters)",
        ),
        (
            "certificate.updated",
            "certificate 7",
            {"certificate": False, "nodes": None, "note": ""},
            "updated certificate 7 (its note)",
        ),
        (
            "generation.republished",
            "node a",
            {"generation": 4, "as": 9},
            "republished an older generation on node a (generation 4, as generation 9)",
        ),
        (
            "certificate.edited",
            "certificate 7",
            {"certificate": True, "nodes": []},
            "changed certificate 7 (its text, its nodes (none))",
        ),
        (
            "csr.answered",
            "request 3",
            {"certificate": 9},
            "gave the CA's answer to CSR 3 which is certificate 9 now",
        ),
        ("csr.made", "request 3", {"subject": "CN=a"}, "created CSR 3"),
        ("request.made", "request 3", {"subject": "CN=a"}, "created CSR 3"),
        (
            "request.answered",
            "request 3",
            {"certificate": 9},
            "gave the CA's answer to CSR 3 which is certificate 9 now",
        ),
        ("user.role_changed", "user bob", {"role": "operator"}, "changed the role of user bob to operator"),
        ("something.new", "thing 1", None, "something new thing 1"),
    ],
)
def test_an_act_is_a_sentence(action, subject, detail, sentence):
    assert said(action, subject, detail) == sentence


def test_a_subject_leads_to_its_page_unless_it_is_gone():
    assert act_of(record("certificate.edited", "certificate 7")).page == "/certificates/7"
    assert act_of(record("node.added", "node n1")).page == "/nodes/n1"
    assert act_of(record("trusted_ca.edited", "trusted CA 4")).page == "/trusted-cas/4"
    assert act_of(record("node.removed", "node n1")).page == ""
    assert act_of(record("user.added", "user bob")).page == "/users/named/bob"
    assert act_of(record("renewal.paused", "renewal 3")).page == "/renewals/3"
    assert act_of(record("renewal.ended", "renewal 3")).page == ""
    assert act_of(record("fleet.pushed", "all nodes")).page == ""


async def test_every_page_that_an_act_leads_to_is_there():
    app = web.Application()
    for page in PAGES:
        if page.method == "GET":
            app.router.add_get(page.path, nothing)
    for kind, _ in _PAGES:
        path = act_of(record("x.changed", f"{kind}7")).page
        resolved = await app.router.resolve(make_mocked_request("GET", path))
        assert resolved.http_exception is None, path


def test_details_are_json_and_none_where_there_are_none():
    assert json.loads(act_of(record("node.added", "node n1", {"names": ["x"]})).detail) == {"names": ["x"]}
    assert act_of(record("node.added", "node n1")).detail == ""


def test_every_act_that_the_product_writes_down_has_its_words():
    written = set()
    for path in SOURCES.rglob("*.py"):
        text = path.read_text()
        written |= set(re.findall(r"\.audit\(\s*[\w.]+,\s*\"([a-z_]+\.[a-z_]+)\"", text))
        written |= set(re.findall(r"action=\"([a-z_]+\.[a-z_]+)\"", text))
    assert len(written) > 20
    assert written - _WORDS.keys() == set()
