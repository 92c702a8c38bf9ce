"""`certcast push`: push now, and optionally wait for the result.

Decides when a node's push has ended. The manager decides what is pushed and when.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from common.errors import InvalidInputError
from common.ids import node_name
from common.runtime.terminal import say
from manager.cli.completion import node_names
from manager.cli.failures import EXIT_REFUSED
from manager.cli.generations import lines
from manager.cli.running import JsonOption, ask, present
from manager.cli.words import span

if TYPE_CHECKING:
    from common.api.facts import NodeView
    from common.api.fleet import PushAnswer
    from manager.cli.client import Client

ACTED: Final = {"push", "publish_and_push"}

_DONE_WORDS: Final = {
    "push": "pushed",
    "publish_and_push": "published and pushed",
    "wait": "waits",
    "none": "nothing to do",
}
_PLANNED_WORDS: Final = {
    "push": "would push",
    "publish_and_push": "would publish and push",
    "wait": "would wait",
    "none": "nothing to do",
}

Fate = Literal["open", "in_sync", "failed"]


def push(
    context: typer.Context,
    nodes: Annotated[
        list[str] | None, typer.Argument(metavar="NODE", help="Nodes to push to.", autocompletion=node_names)
    ] = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Push to all nodes.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Push even content that failed recently, and replace content that this manager does not know.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only print what would be pushed, and what that would change."),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until each of these nodes is in sync or has failed.")
    ] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, help="The longest that --wait waits.")
    ] = 600,
    json: JsonOption = False,
) -> None:
    """Push now. This is rarely needed: changes are pushed automatically, and missed ones within a minute.

    With --wait, exit status 1 means that a node failed, is paused after a failure, could not be reached now
    (offline, or not joined), or did not finish in time.

    Example: certcast push conf1 conf2 --wait
    """
    if bool(nodes) == everywhere:
        raise InvalidInputError("nodes", "say which nodes to push to: their names, or --all")
    if wait and dry_run:
        raise InvalidInputError("wait", "--dry-run pushes nothing that --wait could wait for")
    where: list[str] | None = None if everywhere else [node_name(name) for name in nodes or ()]

    async def work(client: "Client") -> bool:
        from common.api.fleet import Push, PushesAnswer
        from manager.cli.decoding import read

        answer = await client.post("push", body=Push(nodes=where, forced=force, dry_run=dry_run))
        plans = read(answer, PushesAnswer).pushes
        present(answer, lambda _: _say_plans(plans, dry_run=dry_run), json=json)
        return await _follow(client, plans, timeout_s=timeout_s) if wait else True

    if not ask(context, work):
        raise typer.Exit(EXIT_REFUSED)


def fate_of(node: "NodeView", generation: int | None) -> Fate:
    """Return the result of pushing a generation to a node; None stands for the push that was running.

    It stays open after a lost connection: the node will report the result when it reconnects.
    """
    number = generation or 0
    if (
        node.state in {"in_sync", "reload_waiting"}
        and node.applied is not None
        and node.applied.generation >= number
    ):
        return "in_sync"
    if node.push is None or node.push.generation < number or node.push.concluded_at_s is None:
        return "open"
    return "open" if node.push.result in {"", "lost"} else "failed"


def _just_failed(node: "NodeView") -> bool:
    """Whether the running push of the desired content has failed since another was requested."""
    return (
        node.push is not None
        and node.desired is not None
        and node.push.generation == node.desired.generation
        and node.push.result != "applied"
        and fate_of(node, node.push.generation) == "failed"
    )


def _say_plans(plans: "Iterable[PushAnswer]", *, dry_run: bool) -> None:
    for plan in plans:
        say(_sentence(plan, dry_run=dry_run))
        for line in lines(plan.difference) if plan.difference is not None else ():
            say(f"  {line}")


def _sentence(plan: "PushAnswer", *, dry_run: bool) -> str:
    words = _PLANNED_WORDS if dry_run else _DONE_WORDS
    which = f" generation {plan.generation}" if plan.generation is not None and plan.action in ACTED else ""
    now = "; --force tries now" if plan.retry_after_s is not None else ""
    why = f" ({plan.why}{now})" if plan.why else ""
    return f"{plan.node}: {words.get(plan.action, plan.action)}{which}{why}"


class Pursuit:
    """The nodes of a push, followed until each is in sync or has failed."""

    def __init__(self, plans: Iterable["PushAnswer"]) -> None:
        self._waiting = {plan.node: plan.generation for plan in plans if plan.action in ACTED}
        # "none" may mean that a push of the same generation is already running; only the node's facts tell
        self._unseen = {plan.node for plan in plans if plan.action == "none"}
        self._shown: dict[str, str] = {}
        self.failed: list[str] = []

    @property
    def waiting(self) -> list[str]:
        """The names of unfinished nodes, sorted."""
        return sorted({*self._waiting, *self._unseen})

    def take(self, node: "NodeView") -> str | None:
        """Take a node's facts; return its new step, None if the step is unchanged or the node is not followed."""
        from manager.cli.fleet_table import failure

        if node.name in self._unseen:
            self._unseen.discard(node.name)
            if node.push is not None and (node.push.concluded_at_s is None or _just_failed(node)):
                self._waiting[node.name] = node.push.generation
        if node.name not in self._waiting:
            return None
        match fate_of(node, self._waiting[node.name]):
            case "in_sync":
                step = "in sync" if node.state == "in_sync" else f"in sync but for {failure(node)}"
                del self._waiting[node.name]
            case "failed":
                step = f"failed: {failure(node) or node.state}"
                self.failed.append(node.name)
                del self._waiting[node.name]
            case _:
                under_way = node.push is not None and node.push.concluded_at_s is None
                step = (node.push.phase if under_way and node.push else None) or node.state
        before, self._shown[node.name] = self._shown.get(node.name), step
        return step if step != before else None


async def _follow(client: "Client", plans: "list[PushAnswer]", *, timeout_s: float) -> bool:
    """Show the steps of each pushed node; return whether all nodes were in sync in time.

    A node that gets nothing now, because it is offline or backs off after a failure, counts as not in sync.
    """
    from manager.cli.watching import Watch

    pursuit, started_s = Pursuit(plans), time.monotonic()
    left_out = [plan for plan in plans if plan.action not in {*ACTED, "none"}]
    for plan in left_out:
        _progress(_left_out(plan))
    if not pursuit.waiting:
        return not left_out
    try:
        async with asyncio.timeout(timeout_s), aclosing(Watch(client).changes()) as changes:
            async for node, _ in changes:
                if (step := pursuit.take(node)) is not None:
                    _progress(f"{node.name}: {step} ({time.monotonic() - started_s:.1f} s)")
                if not pursuit.waiting:
                    break
    except TimeoutError:
        _progress(f"not finished after {timeout_s:.0f} s: {', '.join(pursuit.waiting)}")
        return False
    return not (pursuit.failed or left_out)


def _left_out(plan: "PushAnswer") -> str:
    if plan.retry_after_s is not None:
        return (
            f"{plan.node}: failed before, and is tried again in {span(plan.retry_after_s)}; "
            f"try now: certcast push {plan.node} --force --wait"
        )
    return f"{plan.node}: not pushed now, so there is nothing to wait for" + (
        f": {plan.why}" if plan.why else ""
    )


def _progress(text: str) -> None:
    say(text, err=True)
