"""The fleet as a table. Pure: depends on the answer and the given time."""

from collections.abc import Iterable
from typing import Final

from rich.console import Group
from rich.text import Text

from common.api.facts import NodeView, Serving, SlotView, Version
from common.api.fleet import FleetAnswer
from common.text import printable
from manager.cli import output
from manager.cli.words import ago, short, until

NAMED_MAX: Final = 12
"""How many nodes are named in one line."""

HEADINGS: Final = ("node", "state", "generation", "leaf", "expires", "last seen")


def fleet(nodes: Iterable[NodeView], now_s: float) -> Group:
    """Return the table, a line for each node that something is wrong with, and a line of counts."""
    listed = sorted(nodes, key=lambda node: node.name)
    if not listed:
        return Group(Text("No nodes yet: certcast node add NAME"))
    table = output.table(HEADINGS, [_row(node, now_s) for node in listed], folded={"node"})
    wrong = [Text(printable(f"{node.name}: {why}")) for node in listed if (why := failure(node))]
    return Group(table, *wrong, counts(listed))


def counts(nodes: Iterable[NodeView]) -> Text:
    """Return the number of nodes in each state, in the table's colours."""
    found: dict[str, int] = {}
    for node in nodes:
        found[node.state] = found.get(node.state, 0) + 1
    total = sum(found.values())
    line = Text(f"{total} node{'' if total == 1 else 's'}:")
    for place, (word, count) in enumerate(sorted(found.items(), key=lambda item: (-item[1], item[0]))):
        line.append(f"{',' if place else ''} {count} ")
        line.append_text(output.state(word))
    return line


def uninformed(answer: FleetAnswer) -> Text:
    """Say which nodes have not confirmed where the manager is dialled now."""
    names = [
        node.name
        for node in answer.nodes
        if node.joined and node.kind == "node" and node.manager_addresses != answer.manager_addresses
    ]
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    present = ", ".join(answer.manager_addresses)
    return Text(
        printable(
            f"Not confirmed yet, where to dial the manager now ({present}): {', '.join(names[:NAMED_MAX])}{more}"
        )
    )


def line(node: NodeView) -> str:
    """Return a node's status in one line, for output that cannot redraw a table."""
    why = failure(node)
    return f"{node.name} {node.state} {_number(node.desired)}/{_number(node.applied)}" + (
        f" {why}" if why else ""
    )


def failure(node: NodeView) -> str:
    """Return a node's fault in one line, "" if none is known.

    The node's last failure stays until a success, so it is shown in any state; otherwise a failed push, or an
    endpoint that does not serve the applied leaf.
    """
    if node.last_failed is not None:
        return _because(node.last_failed.reason, node.last_failed.message)
    if node.state == "in_sync":
        return ""
    if node.state == "reload_waiting":
        return "; ".join(f"the reload of {one.consumer}: {one.message}" for one in node.waiting)
    if (push := node.push) is not None and push.result not in {"", "applied"}:
        return _because(push.reason or push.result, push.message)
    if (seen := _unproven(node)) is not None:
        return f"{seen.endpoint}: {_because(seen.reason, seen.message)}"
    return ""


def _row(node: NodeView, now_s: float) -> tuple[output.Cell, ...]:
    leaves, ends = [], []
    for slot, facts in node.slots.items():
        shown = _leaves(slot, facts)
        leaves += shown
        ends += [_expires(node, slot, now_s), *[""] * (len(shown) - 1)]
    desired, applied = _number(node.desired), _number(node.applied)
    return (
        node.name,
        output.state(node.state),
        desired if desired == applied else (f"desired {desired}", f"applied {applied}"),
        leaves or "-",
        ends or "-",
        ago(node.last_report_at_s, now_s),
    )


def _leaves(slot: str, facts: SlotView) -> list[str]:
    """Return one line if all leaves agree, otherwise one each for desired, applied and served."""
    mark = "" if slot == "server" else f" ({slot})"
    if facts.desired == facts.applied == facts.serving:
        return [f"{short(facts.desired)}{mark}"]
    return [
        f"desired {short(facts.desired)}{mark}",
        f"applied {short(facts.applied)}",
        f"serving {short(facts.serving)}",
    ]


def _expires(node: NodeView, slot: str, now_s: float) -> str:
    ends = [seen.ends_s for seen in node.serving if seen.slot == slot and seen.ends_s is not None]
    return until(min(ends), now_s) if ends else "-"


def _unproven(node: NodeView) -> Serving | None:
    for seen in node.serving:
        slot = node.slots.get(seen.slot)
        if seen.reason or (slot is not None and slot.applied and seen.leaf != slot.applied):
            return seen
    return None


def _because(reason: str, message: str) -> str:
    return f"{reason}: {message}" if message and reason else message or reason or "it serves another leaf"


def _number(version: Version | None) -> str:
    return str(version.generation) if version is not None else "-"
