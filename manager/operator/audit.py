"""`certcast audit`: who did what, and whether the log still says all of it."""

from typing import Annotated

import typer

from manager.operator.failures import EXIT_REFUSED
from manager.operator.running import JsonOption, ask, say, say_raw
from manager.operator.words import moment

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def audit(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many acts.")] = 100,
    before: Annotated[
        int | None, typer.Option("--before", metavar="ID", min=1, help="Only acts before this one.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show who did what, and check the log.

    Without a command: the acts, the newest first.

    Example: certcast audit --limit 20
    """
    if context.invoked_subcommand is not None:
        return
    query = {"limit": str(limit), **({} if before is None else {"before": str(before)})}
    answer = ask(context, lambda client: client.get("audit", query=query))
    if json:
        say_raw(answer)
        return
    from manager.operator.output import show_table
    from manager.operator.shapes import Audit, read

    found = read(answer, Audit)
    rows = [
        (moment(entry.at_s), entry.actor, entry.action, entry.subject, _detail(entry.detail))
        for entry in found.entries
    ]
    show_table(
        ("when", "who", "did", "to", "detail"), rows, nothing="Nothing was done yet.", folded={"to", "detail"}
    )
    if found.next_before is not None:
        typer.echo(f"There is more: certcast audit --before {found.next_before}", err=True)


@app.command()
def verify(
    context: typer.Context,
    noted: Annotated[
        str | None,
        typer.Option("--noted", metavar="HASH", help="A last hash that this command printed earlier."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check that no act was altered or taken out. Exit status 1 says that one was.

    Whoever can write the whole store can write a new log too. Keep the hash that this prints somewhere else: with --noted, a log
    that was made anew is found.

    Example: certcast audit verify --noted 5f70bf18a08660e5
    """
    query = {} if noted is None else {"noted": noted}
    answer = ask(context, lambda client: client.get("audit", "verify", query=query))
    from manager.operator.shapes import Verification, read

    found = read(answer, Verification)
    if json:
        say_raw(answer)
    elif found.broken_at is not None:
        say(
            f"The log is not whole: the first {found.count} acts fit, and act {found.broken_at} was altered or taken out."
        )
    elif not found.noted:
        say(
            "The acts fit each other, but the hash that was noted is not among theirs: the log was made anew."
        )
    else:
        say(f"All {found.count} acts are whole. The last hash, to note elsewhere: {found.head}")
    if found.broken_at is not None or not found.noted:
        raise typer.Exit(EXIT_REFUSED)


def _detail(detail: object) -> str:
    """Return a detail as text; the manager keeps it as JSON, and sends it so or as a text that holds it."""
    import msgspec

    text = detail if isinstance(detail, str) else msgspec.json.encode(detail).decode()
    return "" if text in {"null", "{}"} else text
