"""What a shell completes beyond commands, options and their choices: the names of nodes.

Decides when to ask the manager: only where nobody would be asked for a password. Invariant: completion never fails, waits or prints;
whatever goes wrong, it offers nothing, and the command itself will say what is wrong.
"""

import asyncio
import os
from typing import TYPE_CHECKING, Final

import typer

from common.errors import CertcastError
from manager.operator.access import Access, Options

if TYPE_CHECKING:
    from manager.operator.shapes import ListedNodes

WAIT_S: Final = 2.0
"""Who pressed a key waits for an answer."""


def node_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the nodes whose name begins like this."""
    given = context.find_root().params
    if not (given.get("token") or "CERTCAST_PASSWORD" in os.environ):
        return []
    try:
        access = Options(
            url=given.get("url"),
            user=given.get("user"),
            token=given.get("token"),
            password_stdin=False,
            ca=given.get("ca"),
            insecure=bool(given.get("insecure")),
        ).resolve()
        nodes = asyncio.run(_nodes(access)).nodes
    except (CertcastError, TimeoutError):
        return []
    return [node.name for node in nodes if node.name.startswith(incomplete)]


async def _nodes(access: Access) -> "ListedNodes":
    from manager.operator.client import Client
    from manager.operator.shapes import ListedNodes, read

    async with asyncio.timeout(WAIT_S), Client(access) as client:
        return read(await client.get("nodes"), ListedNodes)
