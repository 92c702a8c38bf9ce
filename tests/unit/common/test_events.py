"""The log speaks only words that are listed, and every listed word is spoken."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from common.events import ACTS, EVENTS, KEYS
from manager.domain.attempts import Attempt

ROOT = Path(__file__).parents[3]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
NOT_KEYS = {"exc_info"}


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    for room in ("common", "manager", "nodeagent"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id == "log"
                    and node.func.attr in LEVELS
                ):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def spoken() -> dict[str, str]:
    """Every text in the sources that looks like an event, and where."""
    found = {}
    for room in ("common", "manager", "nodeagent"):
        for path in (ROOT / room).rglob("*.py"):
            if path.name == "events.py":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in EVENTS:
                    found[node.value] = str(path)
    return found


def test_every_event_that_is_logged_is_listed():
    calls = list(log_calls())
    assert len(calls) > 40
    unknown = [
        (place, call.args[0].value)
        for place, call in calls
        if isinstance(call.args[0], ast.Constant) and call.args[0].value not in EVENTS
    ]
    assert unknown == []


def test_the_agent_which_has_no_store_logs_nothing_of_one():
    places = [
        place
        for place, call in log_calls()
        if place.startswith("nodeagent/") and ast.unparse(call.args[0]).startswith("'store.")
    ]
    assert places == []


def test_every_key_that_is_logged_is_listed():
    unknown = [
        (place, keyword.arg)
        for place, call in log_calls()
        for keyword in call.keywords
        if keyword.arg is not None and keyword.arg not in KEYS and keyword.arg not in NOT_KEYS
    ]
    assert unknown == []


def test_every_listed_event_is_spoken_somewhere():
    assert sorted(set(EVENTS) - set(spoken())) == []


def test_an_event_is_a_noun_and_what_happened_to_it():
    assert [event for event in EVENTS if not re.fullmatch(r"[a-z_]+\.[a-z_]+", event)] == []


def test_every_act_that_is_written_into_the_audit_log_is_listed():
    written = set()
    for path in (ROOT / "manager").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                (".audit", "._note", "audit.append")
            ):
                values = [*node.args, *(each.value for each in node.keywords)]
                texts = {str(each.value) for each in values if isinstance(each, ast.Constant)}
                written |= {text for text in texts if re.fullmatch(r"[a-z_]+\.[a-z_]+", text)}
    assert len(written) > 30
    # attempts are counted, and written by a variable
    written |= {each.value for each in Attempt}
    assert written - set(ACTS) == set()
