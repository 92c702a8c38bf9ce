import json
import signal
import subprocess
import sys

import msgspec
import pytest

from common.api.facts import NodeView
from common.api.fleet import PushAnswer
from manager.cli.client import _events
from manager.cli.fleet_table import failure
from manager.cli.pushes import Pursuit
from tests.unit.cli.contract import complete
from tests.unit.cli.fake_api import LEAF, OLD, failed, node, pushed


def _node(*given, **changes) -> NodeView:
    return msgspec.convert(complete(node(*given, **changes), NodeView), NodeView)


def _plan(action: str, why: str = "", generation: int | None = None) -> PushAnswer:
    return PushAnswer(node="conf1", action=action, why=why, generation=generation)


def _version(generation: int):
    return {"epoch": 1, "generation": generation, "digest": "1" * 64}


def test_status_shows_each_node_where_it_differs_from_what_it_should_be_and_the_counts(api, run):
    stale = {"server": {"desired": LEAF, "offered": LEAF, "applied": OLD, "serving": None}}
    bad = node("conf2", "failed", desired=_version(5), slots=stale, last_failed=failed())
    api.answer("GET", "fleet", {"nodes": [node(), bad], "counts": {}})
    shown = run("status").stdout
    good, bad, second, third, why = (" ".join(line.split()) for line in shown.splitlines()[-6:-1])
    assert good.startswith("conf1 in_sync 4 abababab in ")
    assert bad.startswith("conf2 failed desired 5 desired abababab in ")
    assert why == "conf2: reload_failed: nginx: bad directive"
    assert (second, third) == ("applied 4 applied cdcdcdcd", "serving -")
    assert shown.splitlines()[-1] == "2 nodes: 1 failed, 1 in_sync"


def test_status_colours_on_a_terminal_only(api, run):
    api.answer("GET", "fleet", {"nodes": [node(state="failed")]})
    assert "\x1b[" not in run("status").stdout
    assert "\x1b[1;31mfailed" in run("status", FORCE_COLOR="1", TERM="xterm", NO_COLOR=None).stdout


def test_status_of_an_empty_fleet_says_how_to_begin(api, run):
    api.answer("GET", "fleet", {"nodes": [], "counts": {}})
    assert "certcast node add NAME" in run("status").stdout


def test_status_as_json_is_the_answer_as_it_is(api, run):
    api.answer("GET", "fleet", '{ "nodes":[],"counts":{} }')
    assert run("status", "--json").stdout == '{ "nodes":[],"counts":{} }\n'


def test_an_expired_certificate_is_told_as_such(api, run):
    seen = node()["serving"][0] | {"not_after_s": 86400}
    api.answer("GET", "fleet", {"nodes": [node(serving=[seen])]})
    assert "expired" in run("status").stdout


def test_a_node_that_serves_another_leaf_names_the_endpoint():
    seen = {"consumer": "web", "endpoint": "127.0.0.1:443", "slot": "server", "leaf": OLD}
    assert failure(_node(state="not_serving", serving=[seen])) == "127.0.0.1:443: it serves another leaf"
    unreachable = seen | {"leaf": "", "reason": "verify_unreachable", "message": "refused"}
    assert (
        failure(_node(state="not_serving", serving=[unreachable]))
        == "127.0.0.1:443: verify_unreachable: refused"
    )


WATCH_QUICKLY = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background would ignore it
from manager.cli import watching
watching.AGAIN_S = 0.05
from manager.cli.app import main
main()
"""


def test_watching_prints_a_line_for_each_change_until_interrupted(api):
    api.answer("GET", "fleet", {"nodes": [node(), node("conf2", "pending", desired=_version(5))]})
    api.events = [node("conf2", "installing", desired=_version(5), push=pushed())]
    api.ends_streams = 1  # the first stream ends at once, as when the manager restarts
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            WATCH_QUICKLY,
            "status",
            "--watch",
        ],
        env={"CERTCAST_URL": api.url, "CERTCAST_TOKEN": "cct_x", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        first = [process.stdout.readline().strip() for _ in range(5)]
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=60)
    all_nodes = ["conf1 in_sync 4/4", "conf2 pending 5/4"]
    assert first == [*all_nodes, *all_nodes, "conf2 installing 5/4"]
    assert process.returncode == 0, printed
    assert printed == ""


def test_a_push_needs_names_or_all_and_a_dry_run_cannot_be_waited_for(api, run):
    assert run("push").exit_code == 2
    assert run("push", "a", "--all").exit_code == 2
    assert run("push", "a", "--dry-run", "--wait").exit_code == 2
    assert not api.asked


def test_a_push_says_of_each_node_what_was_done_and_why(api, run):
    plans = [
        {"node": "a", "action": "push", "why": "it differs", "generation": 5},
        {"node": "b", "action": "wait", "why": "it is offline", "generation": 5},
    ]
    api.answer("POST", "push", {"pushes": plans})
    done = run("push", "a", "b", "--force")
    assert api.asked[0][2] == {"nodes": ["a", "b"], "forced": True}
    assert done.stdout == "a: pushed generation 5 (it differs)\nb: waits (it is offline)\n"
    assert "would push" in run("push", "--all", "--dry-run").stdout
    assert api.asked[1][2] == {"dry_run": True}


def _pushing(api, *events):
    plan = {"node": "conf1", "action": "publish_and_push", "why": "it differs", "generation": 5}
    api.answer("POST", "push", {"pushes": [plan]})
    api.answer("GET", "fleet", {"nodes": [node(state="installing", desired=_version(5), push=pushed())]})
    api.events = list(events)


def test_waiting_ends_well_when_the_node_is_in_sync(api, run):
    _pushing(
        api,
        node(state="installing", desired=_version(5), push=pushed(phase="verify")),
        node(desired=_version(5), applied=_version(5), push=pushed(result="applied")),
    )
    done = run("push", "conf1", "--wait", "--timeout", "30")
    assert done.exit_code == 0
    steps = [line.split(" (")[0] for line in done.stderr.splitlines()]
    assert steps == ["conf1: reload", "conf1: verify", "conf1: in sync"]


def test_waiting_is_exit_status_1_when_the_node_failed(api, run):
    _pushing(
        api,
        node(state="failed", desired=_version(5), last_failed=failed(), push=pushed(result="rolled_back")),
    )
    done = run("push", "conf1", "--wait", "--json")
    assert done.exit_code == 1
    assert "conf1: failed: reload_failed: nginx: bad directive" in done.stderr
    assert json.loads(done.stdout)["pushes"][0]["node"] == "conf1"


def test_waiting_is_exit_status_1_when_nothing_comes_in_time(api, run):
    _pushing(api)
    done = run("push", "conf1", "--wait", "--timeout", "1")
    assert done.exit_code == 1
    assert "not finished after 1 s: conf1" in done.stderr


@pytest.mark.parametrize(
    "why", ["it is offline; it will be pushed when it connects", "it has not joined", ""]
)
def test_waiting_is_exit_status_1_for_a_node_that_is_not_pushed_to_now_and_says_why(api, run, why):
    api.answer("POST", "push", {"pushes": [{"node": "a", "action": "wait", "why": why}]})
    done = run("push", "a", "--wait")
    assert done.exit_code == 1
    assert f"a: not pushed now, so there is nothing to wait for{why and ': '}{why}\n" in done.stderr
    assert len(api.asked) == 1
    assert run("push", "a").exit_code == 0, "who does not wait asks for no outcome"


def test_a_node_that_is_offline_fails_the_wait_for_all_after_the_others_have_ended(api, run):
    _pushing(api, node(desired=_version(5), applied=_version(5), push=pushed(result="applied")))
    plans = [
        {"node": "conf1", "action": "push", "generation": 5},
        {"node": "conf2", "action": "wait", "why": "it is offline"},
    ]
    api.answer("POST", "push", {"pushes": plans})
    done = run("push", "--all", "--wait", "--timeout", "30")
    assert done.exit_code == 1
    assert "conf1: in sync" in done.stderr
    assert "conf2: not pushed now" in done.stderr


def test_a_push_that_was_under_way_and_failed_before_anybody_looked_is_exit_status_1(api, run):
    api.answer("POST", "push", {"pushes": [{"node": "conf1", "action": "none", "why": "under way"}]})
    ended = node(state="failed", desired=_version(5), last_failed=failed(), push=pushed(result="rolled_back"))
    api.answer("GET", "fleet", {"nodes": [ended]})
    done = run("push", "conf1", "--wait", "--timeout", "30")
    assert done.exit_code == 1
    assert "conf1: failed: reload_failed" in done.stderr


def test_waiting_is_exit_status_1_for_a_node_that_rests_after_it_failed_and_says_how_to_try_now(api, run):
    rests = {
        "node": "a",
        "action": "wait",
        "why": "it failed (reload_failed); next attempt in 300 s",
        "retry_after_s": 300.0,
    }
    api.answer("POST", "push", {"pushes": [rests]})
    done = run("push", "a", "--wait")
    assert done.exit_code == 1
    assert "(it failed (reload_failed); next attempt in 300 s; --force tries now)" in done.output
    assert (
        "a: failed before, and is tried again in 5 min; try now: certcast push a --force --wait"
        in done.stderr
    )
    assert run("push", "a").exit_code == 0, "who does not wait asks for no outcome"


def test_an_older_generation_in_sync_is_not_the_end():
    pursuit = Pursuit([_plan("push", generation=5)])
    assert pursuit.take(_node(state="in_sync")) == "in_sync"
    assert pursuit.waiting == ["conf1"]


def test_a_connection_that_was_lost_leaves_the_push_open():
    pursuit = Pursuit([_plan("push", generation=5)])
    assert pursuit.take(_node(state="offline", push=pushed(result="lost"))) == "offline"
    assert pursuit.waiting == ["conf1"]
    assert pursuit.take(_node(applied=_version(5), push=pushed(result="applied"))) == "in sync"
    assert not pursuit.waiting


def test_an_earlier_failure_is_not_taken_for_this_pushs():
    pursuit = Pursuit([_plan("push", generation=6)])
    assert (
        pursuit.take(_node(state="pending", last_failed=failed(), push=pushed(5, result="failed")))
        == "pending"
    )
    assert not pursuit.failed


@pytest.mark.parametrize(("result", "waiting"), [("", ["conf1"]), ("applied", [])])
def test_a_push_that_was_under_way_already_is_waited_for(result, waiting):
    pursuit = Pursuit([_plan("none", why="a push is under way")])
    pursuit.take(_node(state="installing", push=pushed(result=result)))
    assert pursuit.waiting == waiting


class Lines:
    """A stream's content, line by line."""

    def __init__(self, text: bytes) -> None:
        self._lines = iter(text.splitlines(keepends=True))

    async def readline(self) -> bytes:
        return next(self._lines, b"")


async def test_events_of_other_kinds_and_their_ids_are_left_out():
    text = (
        b': listening\n\ndata: {"name": "n1"}\n\nid: a-2\nevent: removed\ndata: {"name": "n2"}\n\n'
        b'id: a-3\ndata: {"name":\ndata: "n3"}\n\n'
    )
    assert [json.loads(each)["name"] async for each in _events(Lines(text))] == ["n1", "n3"]
