"""`certcast audit`: the audit log, and whether it is intact and complete."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from common.runtime.terminal import say
from manager.cli.failures import EXIT_REFUSED
from manager.cli.guided import GuidedGroup
from manager.cli.running import JsonOption, ask, present
from manager.cli.words import moment

if TYPE_CHECKING:
    from common.api.audit import VerificationAnswer

_FAULTS: Final = {
    "entry": "The log is broken: the first {count} entries are intact, and entry {at} was altered, or one before it was removed.",
    "head": "The log is broken: its {count} entries are intact, but the record of where it ends is missing or was altered.",
    "end": "The log is broken: its {count} entries are intact, but it does not end there; later entries were removed.",
    "shipped": (
        "The log is broken: its {count} entries are intact, but it lacks entries whose head was shipped. The store was "
        "replaced by an older copy, or the log's end was cut off; after restoring a backup, run 'certcast-manager "
        "restored'."
    ),
    "witness": (
        "The log's {count} entries are intact, but the file audit-head next to the database, which proves that none is "
        "missing at the end, was removed. Compare the log with a head that was kept elsewhere; after restoring a "
        "backup, run 'certcast-manager restored'."
    ),
    "key": "The log cannot be verified: the key of its chain is missing or cannot be opened.",
}
_KEPT: Final = {
    "lost": "The head that was kept is not in the log: entries were removed, or an older copy of the store was put in place.",
    "foreign": "The head that was kept was not signed by this log: it is another manager's, or the log was replaced.",
}

app = typer.Typer(
    cls=GuidedGroup,
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def audit(
    context: typer.Context,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many entries.")
    ] = 100,
    before: Annotated[
        int | None, typer.Option("--before", metavar="ID", min=1, help="Only entries before this one.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show the audit log, and verify it.

    Without a command, it lists the entries, the newest first.

    Example: certcast audit --limit 20
    """
    if context.invoked_subcommand is not None:
        return
    query = {"limit": str(limit), **({} if before is None else {"before": str(before)})}
    answer = ask(context, lambda client: client.get("audit", query=query))
    present(answer, _list, json=json)


def _list(answer: bytes) -> None:
    from common.api.audit import AuditAnswer
    from manager.cli.decoding import read
    from manager.cli.output import show_table

    found = read(answer, AuditAnswer)
    rows = [
        (moment(entry.at_s), entry.actor, entry.action, entry.subject, _detail(entry.detail))
        for entry in found.entries
    ]
    show_table(
        ("when", "who", "did", "to", "detail"),
        rows,
        nothing="The log has no entries yet.",
        folded={"to", "detail"},
    )
    if found.next_before is not None:
        say(f"More entries: certcast audit --before {found.next_before}", err=True)


@app.command()
def head(context: typer.Context, json: JsonOption = False) -> None:
    """Print the log's signed head, to be kept on another machine.

    Keep it where the manager cannot write. The manager also writes it into the journal whenever it changes,
    and into a file if audit_heads is set.

    Example: certcast audit head >> /srv/evidence/certcast-heads
    """
    answer = ask(context, lambda client: client.get("audit", "head"))
    from common.api.audit import HeadAnswer
    from manager.cli.decoding import read

    found = read(answer, HeadAnswer)
    present(answer, lambda _: say(found.head), json=json)


@app.command()
def verify(
    context: typer.Context,
    kept: Annotated[
        str | None,
        typer.Option("--head", metavar="HEAD", help="A signed head that was kept, or the line that has it."),
    ] = None,
    noted: Annotated[
        str | None,
        typer.Option("--noted", metavar="HASH", help="A last hash that an earlier version printed."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check that no entry was altered, added or removed. Exit status 1 means that one was.

    An intruder who can copy the whole store can also replace it with an older copy. Only --head detects that:
    keep the output of 'certcast audit head', or the journal's lines, on another machine.

    Example: certcast audit verify --head "$(tail -n 1 /srv/evidence/certcast-heads)"
    """
    given = {"head": kept, "noted": noted}
    query = {name: value for name, value in given.items() if value is not None}
    answer = ask(context, lambda client: client.get("audit", "verify", query=query))
    from common.api.audit import VerificationAnswer
    from manager.cli.decoding import read

    found = read(answer, VerificationAnswer)
    present(answer, lambda _: _say_verdict(found), json=json)
    if found.broken_at is not None or not found.noted or found.kept in _KEPT:
        raise typer.Exit(EXIT_REFUSED)


def _say_verdict(found: "VerificationAnswer") -> None:
    for sentence in _sentences(found):
        say(sentence)


def _sentences(found: "VerificationAnswer") -> list[str]:
    sentences = []
    if found.broken_at is not None:
        sentences.append(
            _FAULTS.get(found.fault, _FAULTS["entry"]).format(at=found.broken_at, count=found.count)
        )
    if not found.noted:
        sentences.append("The hash that was noted is not in the log: the log was replaced.")
    if found.kept in _KEPT:
        sentences.append(_KEPT[found.kept])
    if not sentences:
        held = " and the head that was kept is among them" if found.kept == "held" else ""
        sentences = [f"All {found.count} entries are intact{held}.", f"The head to keep: {found.signed_head}"]
    return sentences


def _detail(detail: object) -> str:
    """Return a detail as text; the manager stores JSON, and sends it as such or as text containing it."""
    import msgspec

    text = detail if isinstance(detail, str) else msgspec.json.encode(detail).decode()
    return "" if text in {"null", "{}"} else text
