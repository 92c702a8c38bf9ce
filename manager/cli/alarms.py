"""`certcast alarm`: active and past alarms."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import InvalidInputError
from common.runtime.terminal import say
from manager.cli.completion import node_names
from manager.cli.running import JsonOption, ask, group, present

if TYPE_CHECKING:
    from common.api.alarms import AlarmsAnswer
    from manager.cli.client import Client

app = group("List and acknowledge alarms.")


@app.command("list")
def list_alarms(context: typer.Context, json: JsonOption = False) -> None:
    """List the active alarms, the latest first.

    An alarm ends by itself when its cause has ended.

    Example: certcast alarm list
    """
    answer = ask(context, lambda client: client.get("alarms"))
    present(answer, lambda answer: _list(answer, ended=False), json=json)


@app.command()
def acknowledge(
    context: typer.Context,
    alarms: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ALARM",
            help="Numbers from 'certcast alarm list', or names of nodes: every alarm about the node or a certificate that it has.",
            autocompletion=node_names,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All alarms that nobody has acknowledged yet.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Note that you have seen alarms.

    They stay active until their cause has ended. Who acknowledged them, and when, is shown with them.

    Example: certcast alarm acknowledge 4 5 conf1
    """
    if bool(alarms) == everything:
        raise InvalidInputError("ids", "say which alarms: their numbers, names of nodes, or --all")

    async def work(client: "Client") -> list[int]:
        from common.api.alarms import Acknowledge

        numbers = await _chosen(client, alarms or [])
        if numbers:
            await client.post("alarms", "acknowledge", body=Acknowledge(ids=numbers))
        return numbers

    seen = ask(context, work)
    numbers = ", ".join(map(str, seen))
    done = f"Acknowledged {numbers}." if seen else "There was nothing to acknowledge."
    present({"acknowledged": seen}, lambda _: say(done), json=json)


@app.command()
def history(
    context: typer.Context,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many to list at most.")
    ] = 100,
    json: JsonOption = False,
) -> None:
    """List alarms that have ended, the latest first.

    Example: certcast alarm history --limit 20
    """
    answer = ask(context, lambda client: client.get("alarms", "history", query={"limit": str(limit)}))
    present(answer, lambda answer: _list(answer, ended=True), json=json)


def _list(answer: bytes, *, ended: bool) -> None:
    from manager.cli.certificate_tables import ALARM_HEADINGS, FOLDED, HISTORY_HEADINGS, alarm_row
    from manager.cli.output import show_table

    now_s = time.time()
    rows = [alarm_row(each, now_s) for each in _read(answer).alarms]
    headings = HISTORY_HEADINGS if ended else ALARM_HEADINGS
    show_table(headings, rows, nothing="No alarm has ended yet." if ended else "No alarms.", folded=FOLDED)


async def _chosen(client: "Client", wanted: list[str]) -> list[int]:
    """Return the numbers of these alarms, or of all unacknowledged ones. Raises InvalidInputError."""
    if wanted and all(each.isascii() and each.isdecimal() for each in wanted):
        return [int(each) for each in wanted]
    there = [each for each in _read(await client.get("alarms")).alarms if each.id]
    if not wanted:
        return [each.id for each in there if not each.acknowledged_at_s]
    numbers: list[int] = []
    for word in wanted:
        found = [each.id for each in there if word in {str(each.id), each.node, *each.nodes}]
        if not found:
            raise InvalidInputError(
                "ids",
                f"no active alarm has the number '{word}', or concerns a node of that name: 'certcast alarm list' shows the numbers",
            )
        numbers += found
    return list(dict.fromkeys(numbers))


def _read(answer: bytes) -> "AlarmsAnswer":
    from common.api.alarms import AlarmsAnswer
    from manager.cli.decoding import read

    return read(answer, AlarmsAnswer)
