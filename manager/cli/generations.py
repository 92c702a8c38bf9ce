"""`certcast node generations`, `difference` and `republish`: a node's history, and a return to older content."""

from typing import TYPE_CHECKING, Annotated

import typer

from common.ids import node_name
from common.pki.expiry import UNREADABLE
from common.runtime.terminal import say
from manager.cli.confirming import (
    YesOption,
    ask_confirmed,
    confirm_unless_forced,
    say_consequences,
    show_consequences,
)
from manager.cli.running import JsonOption, ask, present
from manager.cli.words import end_of, moment, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.api.generations import Difference, Named

NodeArgument = Annotated[str, typer.Argument(metavar="NAME", help="The node's name.")]
GenerationArgument = Annotated[
    int, typer.Argument(metavar="GENERATION", min=1, help="A number that 'certcast node generations' lists.")
]


def generations(context: typer.Context, name: NodeArgument, json: JsonOption = False) -> None:
    """List a node's generations, the newest first.

    Example: certcast node generations conf1
    """
    where = node_name(name)
    answer = ask(context, lambda client: client.get("nodes", where, "generations"))
    present(answer, _list, json=json)


def _list(answer: bytes) -> None:
    from common.api.generations import GenerationsAnswer
    from manager.cli.decoding import read
    from manager.cli.output import show_table

    rows = [
        (
            str(each.generation),
            moment(each.created_at_s),
            each.cause + (" (stands in for what is assigned)" if each.stands_in else ""),
            [f"{slot} {short(leaf)}" for slot, leaf in each.slots.items()] or "-",
            str(each.anchors),
        )
        for each in read(answer, GenerationsAnswer).generations
    ]
    show_table(
        ("generation", "published", "because of", "leaves", "anchors"),
        rows,
        nothing="Nothing has been published for it yet.",
    )


def difference(
    context: typer.Context,
    name: NodeArgument,
    generation: GenerationArgument,
    before: Annotated[
        int | None,
        typer.Option(
            "--from",
            metavar="GENERATION",
            min=1,
            help="The one to compare with instead of the one before it.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show the differences between two generations.

    Shows files, certificates and chains by name, and anchors; never the content of a key file.

    Example: certcast node difference conf1 7 --from 4
    """
    path = ("nodes", node_name(name), "generations", str(generation), "difference")
    query = {} if before is None else {"from": str(before)}
    answer = ask(context, lambda client: client.get(*path, query=query))
    present(answer, lambda answer: _say_difference(answer, name), json=json)


def _say_difference(answer: bytes, name: str) -> None:
    from common.api.generations import DifferenceAnswer
    from manager.cli.decoding import read

    found = read(answer, DifferenceAnswer)
    against = "nothing: it is the first" if found.before is None else f"generation {found.before}"
    say(f"{name}: generation {found.after}, compared with {against}")
    for line in lines(found.difference) or ["nothing differs"]:
        say(f"  {line}")


def republish(
    context: typer.Context,
    name: NodeArgument,
    generation: GenerationArgument,
    force: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Publish older content again, and push it now.

    At a terminal, the differences and their consequences for clients and peers are shown, and need
    confirmation; in a script, use --force.

    The node keeps this content until a change concerns the node: another certificate is assigned, or a chain
    or a trusted CA changes. To undo it before that, republish the generation that was the newest.

    Example: certcast node republish conf1 6
    """
    path = ("nodes", node_name(name), "generations", str(generation), "republish")
    shown: list[str] = []
    confirm_unless_forced(
        f"Publish generation {generation} of {name} again?",
        force=force,
        check=lambda: shown.append(_show_change(context, name, generation)),
    )
    answer = ask_confirmed(
        context,
        lambda client, confirm: client.post(*path, query=confirm),
        force=force,
        confirmed="".join(shown),
    )
    present(answer, lambda answer: _say_republished(answer, name, generation), json=json)


def _say_republished(answer: bytes, name: str, generation: int) -> None:
    from common.api.generations import RepublishedAnswer
    from manager.cli.decoding import read

    done = read(answer, RepublishedAnswer)
    say(f"Generation {generation} of {name} was published again as generation {done.generation}: {done.why}.")
    say_consequences(done.consequences)


def _show_change(context: typer.Context, name: str, generation: int) -> str:
    """Print the changes and consequences of republishing on standard error; return the confirmation token."""
    from common.api.generations import DifferenceAnswer, GenerationsAnswer
    from manager.cli.decoding import read

    path = ("nodes", node_name(name), "generations")
    listed = read(ask(context, lambda client: client.get(*path)), GenerationsAnswer).generations
    newest = max((each.generation for each in listed), default=generation)
    query = {"from": str(newest)}
    answer = ask(context, lambda client: client.get(*path, str(generation), "difference", query=query))
    found = read(answer, DifferenceAnswer)
    for line in lines(found.difference) or ["nothing differs"]:
        say(f"  {line}", err=True)
    show_consequences(found.consequences)
    return found.confirmation


def lines(difference: "Difference") -> list[str]:
    """Say a difference, a line each: certificates first, then anchors, then files."""
    found = []
    for slot in difference.slots:
        found.append(f"{slot.slot}: {_chain(slot.before)}")
        found.append(f"{'':{len(slot.slot)}}  becomes {_chain(slot.after)}")
    found += [f"anchor added: {_named(each)}" for each in difference.anchors_added]
    found += [f"anchor removed: {_named(each)}" for each in difference.anchors_removed]
    found += [
        f"{each.change} {each.path} ({_size(each.before_bytes)} -> {_size(each.after_bytes)})"
        for each in difference.files
    ]
    return found


def _chain(certificates: "Sequence[Named]") -> str:
    return ", ".join(_named(each) for each in certificates) or "empty"


def _named(each: "Named") -> str:
    return f"{each.subject} ({short(each.fingerprint)}, until {moment(end_of(each), UNREADABLE)})"


def _size(size_bytes: int | None) -> str:
    return "none" if size_bytes is None else f"{size_bytes} bytes"
