"""Shell completion beyond commands, options and their choices: the names of nodes, users and certificates.

Asks the manager only if that needs no password prompt.

Invariants: completion never fails, prints, or waits long. On any error it offers nothing; the command itself
will report it. It offers plain words only: shells insert them unquoted, and some evaluate them first, so a
certificate's name could otherwise run a command.
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import typer

from common.errors import CertcastError
from manager.cli.access import Access, Options

if TYPE_CHECKING:
    from manager.cli.client import Client

OFFERED_MAX: Final = 100
WAIT_S: Final = 2.0
"""Longest time that a key press waits for completions."""

_PLAIN: Final = re.compile(r"(?!-)[A-Za-z0-9._@:+-]+")
"""Names that no shell interprets. Other entries can be given by number, or typed with quotes."""


def node_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of nodes that begin with `incomplete`."""

    async def names(client: "Client") -> list[str]:
        from common.api.nodes import NodesAnswer
        from manager.cli.decoding import read

        return [node.name for node in read(await client.get("nodes"), NodesAnswer).nodes]

    return _beginning(context, incomplete, names)


def user_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of users that begin with `incomplete`."""

    async def names(client: "Client") -> list[str]:
        from common.api.users import UsersAnswer
        from manager.cli.decoding import read

        return [user.name for user in read(await client.get("users"), UsersAnswer).users]

    return _beginning(context, incomplete, names)


def certificate_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of certificates that begin with `incomplete`."""

    async def names(client: "Client") -> list[str]:
        from common.api.certificates import CertificatesAnswer
        from manager.cli.decoding import read

        query = {"search": incomplete, "limit": str(OFFERED_MAX)}
        found = read(await client.get("certificates", query=query), CertificatesAnswer).certificates
        return [name for each in found for name in (each.subject_name, *each.subject_alt_names)]

    return _beginning(context, incomplete, names)


def _beginning(
    context: typer.Context, incomplete: str, names: Callable[["Client"], Awaitable[list[str]]]
) -> list[str]:
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
        found = asyncio.run(_asked(access, names))
    except (CertcastError, TimeoutError):
        return []
    return sorted({name for name in found if name.startswith(incomplete) and _PLAIN.fullmatch(name)})


async def _asked(access: Access, names: Callable[["Client"], Awaitable[list[str]]]) -> list[str]:
    from manager.cli.client import Client

    async with asyncio.timeout(WAIT_S), Client(access) as client:
        return await names(client)
