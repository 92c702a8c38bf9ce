"""`certcast node`: add nodes, look at them, and let them join."""

import shlex
import time
from typing import TYPE_CHECKING, Annotated

import typer

from common.ids import node_name
from common.runtime.terminal import say
from common.words import counted
from manager.cli.completion import node_names
from manager.cli.confirming import YesOption, ask_confirmed
from manager.cli.running import JsonOption, ask, group, present
from manager.cli.words import ago, moment, short, span

if TYPE_CHECKING:
    from common.api.facts import KeyChange, NodeView, Serving
    from common.api.nodes import ShownNode
    from manager.cli.output import Cell

app = group("Add nodes, look at them, and let them join.")

NodeArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The node's name.", autocompletion=node_names)
]


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The node's name.")],
    names: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="FQDN", help="A DNS name that it serves; may be repeated."),
    ] = None,
    addresses: Annotated[
        list[str] | None,
        typer.Option("--address", metavar="IP", help="An IP address that it serves; may be repeated."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Add a node, and print the command to run on it.

    Example: certcast node add conf1 --name conf1.example.com --address 192.0.2.21
    """
    from common.api.nodes import NewNode

    body = NewNode(name=node_name(name), names=names or [], addresses=addresses or [])
    answer = ask(context, lambda client: client.post("nodes", body=body))
    present(answer, lambda answer: _say_join(f"Added {name}.", answer), json=json)


@app.command("list")
def list_nodes(context: typer.Context, json: JsonOption = False) -> None:
    """List the nodes with their names and states.

    'certcast status' shows the certificates that each has and serves.

    Example: certcast node list
    """
    answer = ask(context, lambda client: client.get("nodes"))
    present(answer, _list, json=json)


def _list(answer: bytes) -> None:
    from common.api.nodes import NodesAnswer
    from manager.cli.decoding import read
    from manager.cli.output import show_table, state

    rows = [
        (
            node.name,
            node.kind,
            [*node.names, *node.addresses] or "-",
            state(node.state) if node.state else "yes" if node.joined else "no",
            moment(node.created_at_s),
        )
        for node in read(answer, NodesAnswer).nodes
    ]
    show_table(
        ("node", "kind", "names and addresses", "state", "added"),
        rows,
        nothing="No nodes yet: certcast node add NAME",
    )


@app.command()
def show(context: typer.Context, name: NodeArgument, json: JsonOption = False) -> None:
    """Show everything known about one node.

    Example: certcast node show conf1
    """
    where = node_name(name)
    answer = ask(context, lambda client: client.get("nodes", where))
    present(answer, _describe, json=json)


def _describe(answer: bytes) -> None:
    from common.api.nodes import ShownNode
    from manager.cli.decoding import read
    from manager.cli.output import show_pairs, state

    node = read(answer, ShownNode)
    show_pairs(
        [
            ("node", f"{node.name} ({node.kind})"),
            ("state", state(node.state)),
            *_facts(node, time.time()),
        ]
    )


@app.command()
def remove(
    context: typer.Context, name: NodeArgument, force: YesOption = False, json: JsonOption = False
) -> None:
    """Remove a node.

    Its agent is refused from then on. This needs confirmation; in a script, use --force.

    Example: certcast node remove conf1
    """
    where = node_name(name)
    answer = ask_confirmed(
        context, lambda client, confirm: client.delete("nodes", where, query=confirm), force=force
    )
    present(
        answer,
        lambda _: say(f"Removed {name}. Its files stay on the node until they are deleted there."),
        json=json,
    )


@app.command("join-token")
def join_token(context: typer.Context, name: NodeArgument, json: JsonOption = False) -> None:
    """Create a new join token for a node.

    Older unused tokens stay valid until they expire; 'certcast node join-tokens' lists them.

    Example: certcast node join-token conf1
    """
    where = node_name(name)
    answer = ask(context, lambda client: client.post("nodes", where, "join-token"))
    present(answer, lambda answer: _say_join(f"A new join token for {name}.", answer), json=json)


def _say_join(done: str, answer: bytes) -> None:
    from common.api.nodes import JoinTokenAnswer
    from manager.cli.decoding import read

    token = read(answer, JoinTokenAnswer)
    left = span(token.expires_at_s - time.time())
    say(f"{done} Run this on the node (the token is shown once, works once, and expires in {left}):")
    say("")
    say(f"  certcast-nodeagent join {shlex.quote(token.join_token)}")


def _key(change: "KeyChange | None") -> list[tuple[str, str]]:
    if change is None:
        return []
    how = {"joined": "joined", "rejoined": "joined again", "rotated": "rotated"}.get(change.how, change.how)
    pairs = [("key", f"{change.fingerprint}, {how} {moment(change.at_s)} from {change.address}")]
    if change.former:
        where = f", last used from {change.former_address}" if change.former_address else ""
        pairs.append(("former key", f"{change.former}{where}"))
    return pairs


def _facts(node: "ShownNode", now_s: float) -> list[tuple[str, "Cell"]]:
    skew = f", its clock differs by {node.clock_skew_s:+.1f} s" if abs(node.clock_skew_s) >= 1 else ""
    pairs: list[tuple[str, Cell]] = [
        ("names", ", ".join([*node.names, *node.addresses]) or "-"),
        ("joined", "yes" if node.joined else "no; 'certcast node join-token' makes a token"),
        *_key(node.key_change),
        ("knows manager", ", ".join(node.manager_addresses or ()) or "-"),
        ("agent", f"{node.agent_version or '-'} at {node.address}" if node.address else "-"),
        ("last seen", f"{ago(node.last_report_at_s, now_s)}{skew}"),
    ]
    for word, version in (("desired", node.desired), ("offered", node.offered), ("applied", node.applied)):
        text = (
            f"generation {version.generation} of epoch {version.epoch}, {version.digest}" if version else "-"
        )
        pairs.append((word, text))
    if node.republished:
        pairs.append(("republished", "older content, until something changes that concerns the node"))
    for slot, leaves in node.slots.items():
        text = (
            f"desired {short(leaves.desired)}, offered {short(leaves.offered)}, "
            f"applied {short(leaves.applied)}, serving {short(leaves.serving)}"
        )
        pairs.append((f"slot {slot}", text))
    pairs += [
        (f"serves {seen.consumer}", f"{seen.endpoint} ({seen.slot}): {_seen(seen)}") for seen in node.serving
    ]
    pairs += [
        (f"reload of {one.consumer}", f"due since {moment(one.since_s)}; {one.message}")
        for one in node.waiting
    ]
    pairs += [("configuration", one.message) for one in node.configuration]
    pairs += [(f"refuses {one.part}", f"{one.reason}: {one.message}") for one in node.refused]
    if node.push is not None:
        pairs.append(("latest push", _push(node)))
    if (failed := node.last_failed) is not None:
        again = f", tried {failed.attempts} times" if failed.attempts > 1 else ""
        pairs.append(
            (
                "last failure",
                f"generation {failed.generation} in {failed.phase}{again}: {failed.reason}: {failed.message}",
            )
        )
    if node.drifted or node.drifts:
        now = "drifted now" if node.drifted else "as it should be now"
        pairs.append(("drift", f"{now}; repaired {counted(node.drifts, 'time')} since the agent started"))
    if node.diagnostics:
        # a mark at each line: none of them can pass for a row of ours
        pairs.append(("seen then", [f"| {line}" for line in node.diagnostics.splitlines()]))
    return pairs


def _seen(seen: "Serving") -> str:
    if not seen.leaf:
        return f"{seen.reason}: {seen.message}"
    wrong = f"; {seen.message}" if seen.reason else ""
    strict = f"; a strict client refuses it: {seen.strict_client}" if seen.strict_client else ""
    strict += "; no OCSP response is stapled, which its certificate demands" if seen.stapled is False else ""
    chain = f" with {seen.sent} more" if seen.sent else ""
    return f"{short(seen.leaf)}{chain}, {seen.tls or 'TLS'}, not after {moment(seen.ends_s, 'a time that is not known')}{wrong}{strict}"


def _push(node: "NodeView") -> str:
    push = node.push
    if push is None:
        return "-"
    if push.concluded_at_s is None:
        return f"generation {push.generation} is under way ({push.phase or 'offered'})"
    took_ms = (push.concluded_at_s - push.offered_at_s) * 1000
    why = f" ({push.reason}: {push.message})" if push.reason else ""
    return f"generation {push.generation} {push.result} in {took_ms:.0f} ms at {moment(push.concluded_at_s)}{why}"
