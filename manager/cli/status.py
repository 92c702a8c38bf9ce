"""`certcast status`: the status of all nodes, once or as it changes."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from common.runtime.terminal import say
from common.text import printable
from manager.cli.running import JsonOption, ask, present, say_answer

if TYPE_CHECKING:
    from rich.console import Group

    from manager.cli.client import Client
    from manager.cli.watching import Watch

_REDRAWS_A_SECOND: Final = 2


def status(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing changes, until Ctrl-C.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the status of all nodes.

    A leaf is shown by the first eight digits of its fingerprint. If the desired, applied and served leaves
    differ, each is shown. With --watch and --json, each change is one line: the node's facts as the manager
    sends them.

    Example: certcast status --watch
    """
    if not watch:
        answer = ask(context, lambda client: client.get("fleet"))
        present(answer, _show, json=json)
        return
    try:
        ask(context, _watch_json if json else _watch)
    except KeyboardInterrupt:  # the ordinary end of watching
        return


def _show(answer: bytes) -> None:
    from common.api.fleet import FleetAnswer
    from manager.cli.decoding import read
    from manager.cli.fleet_table import fleet, uninformed
    from manager.cli.output import console

    found = read(answer, FleetAnswer)
    console().print(fleet(found.nodes, time.time()))
    if found.uninformed:
        console().print(uninformed(found))


async def _watch_json(client: "Client") -> None:
    from manager.cli.watching import Watch

    async for _, event in Watch(client).changes():
        if event is not None:
            say_answer(event)
            sys.stdout.flush()


async def _watch(client: "Client") -> None:
    """Redraw the table in place on a terminal; elsewhere print a line for each change."""
    from manager.cli.output import console
    from manager.cli.watching import Watch

    watch, out = Watch(client), console()
    if not out.is_terminal:
        from manager.cli.fleet_table import line

        async for node, _ in watch.changes():
            say(line(node))
        return

    from rich.live import Live

    with Live(console=out, get_renderable=lambda: _drawn(watch), refresh_per_second=_REDRAWS_A_SECOND):
        async for _ in watch.changes():
            pass


def _drawn(watch: "Watch") -> "Group":
    """Draw the fleet's last known state; ages and expiries still advance. Called from rich's own thread."""
    from rich.console import Group
    from rich.text import Text

    from manager.cli.fleet_table import fleet

    drawn = fleet(list(watch.nodes.values()), time.time())
    return (
        Group(drawn, Text(printable(f"Not up to date: {watch.lost}"), style="bold red"))
        if watch.lost
        else drawn
    )
