"""`certcast host-key`: the key by which nodes recognise the manager, and the steps to replace it."""

from typing import Annotated

import typer

from common.runtime.terminal import say
from manager.cli.running import JsonOption, ask, group, present

app = group("Show and replace the key by which nodes know the manager.")

ForceOption = Annotated[
    bool,
    typer.Option("--force", help="Go on although nodes have not confirmed the new key; they may be lost."),
]
STATES = {
    "steady": "no replacement is in progress; 'certcast host-key announce' begins one",
    "announced": "the next key is announced; 'certcast host-key switch' takes it into use",
    "switched": "the next key is in use, and the former one vouches for it; 'certcast host-key drop' ends that",
}


@app.command()
def show(context: typer.Context, json: JsonOption = False) -> None:
    """Show the host key, and the state of its replacement.

    Example: certcast host-key show
    """
    present(ask(context, lambda client: client.get("host-key")), _describe, json=json)


@app.command()
def announce(context: typer.Context, json: JsonOption = False) -> None:
    """Make the next host key and announce it to all nodes.

    Nodes pin it in addition to the present one and confirm it. Nothing else changes until you switch.

    Example: certcast host-key announce
    """
    present(ask(context, lambda client: client.post("host-key", "announce")), _describe, json=json)


@app.command()
def switch(context: typer.Context, force: ForceOption = False, json: JsonOption = False) -> None:
    """Take the announced host key into use.

    Refused while nodes have not confirmed it. A node that was offline meanwhile can still connect until the
    former key is dropped.

    Example: certcast host-key switch
    """
    _go_on(context, "switch", force=force, json=json)


@app.command()
def drop(context: typer.Context, force: ForceOption = False, json: JsonOption = False) -> None:
    """Remove the former host key.

    Refused while some nodes do not know the key in use: they would need a new join token.

    Example: certcast host-key drop
    """
    _go_on(context, "drop", force=force, json=json)


@app.command()
def abandon(context: typer.Context, json: JsonOption = False) -> None:
    """Go back one step.

    An announced key is removed. After the switch, the former key is used again and the new one stays
    announced.

    Example: certcast host-key abandon
    """
    present(ask(context, lambda client: client.post("host-key", "abandon")), _describe, json=json)


def _go_on(context: typer.Context, step: str, *, force: bool, json: bool) -> None:
    query = {"force": "true"} if force else {}
    present(ask(context, lambda client: client.post("host-key", step, query=query)), _describe, json=json)


def _describe(answer: bytes) -> None:
    from common.api.host_key import HostKeyAnswer
    from manager.cli.decoding import read

    found = read(answer, HostKeyAnswer)
    say(f"host key {found.fingerprint}")
    if found.other_fingerprint:
        say(f"{'next' if found.state == 'announced' else 'former'} key {found.other_fingerprint}")
    say(f"{found.state}: {STATES.get(found.state, '')}")
    if found.unconfirmed:
        say(f"not confirmed yet by: {', '.join(found.unconfirmed)}")
