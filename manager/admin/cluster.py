"""`certcast-manager cluster-token` and `certcast-manager join-cluster`: another manager on the same store."""

import asyncio
import shlex
import socket
import sys
import time
from typing import Annotated

import typer

from common.errors import ConflictError, InvalidInputError
from common.runtime.terminal import say
from common.words import span_of
from manager.account import become_owner, give_to_account, real_directory
from manager.admin.options import AddressesOption, ConfigOption, DataOption, NamesOption, load, load_owned
from manager.settings import DEFAULT_DATA, Settings


def cluster_token(
    with_database: Annotated[
        bool,
        typer.Option(
            "--with-database",
            help="Let the new manager be told the address of the database, with its password. Without this, set 'database' there first.",
        ),
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a token for another manager of this store.

    The other manager joins by it, on another machine; the store must be in PostgreSQL. Whoever has the token gets the key that opens every private key in the store. It works once and for half an hour: hand it over in secret, for
    example by SSH, and type it where 'certcast-manager join-cluster' asks for it. The manager that runs here has to be reachable from there at
    the address that nodes dial.

    Example: certcast-manager cluster-token
    """
    settings = load_owned(config=config, data=data)
    _check_shared(settings, tells=with_database)
    from manager.offline import new_manager_token

    made = asyncio.run(new_manager_token(settings, tells_database=with_database))
    say(
        f"On the new machine, within {span_of(made.expires_s - time.time())}, run 'certcast-manager join-cluster' and give it this token:",
        err=True,
    )
    say(made.text)


def join_cluster(
    name: NamesOption = None,
    address: AddressesOption = None,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read the token from standard input.")
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Make this machine another manager of a store.

    The token is made with 'certcast-manager cluster-token' where a manager runs already. It is asked for, or read with --token-stdin, and is no
    argument, which everybody on this machine could see. The directory must be empty or not exist yet. If this is interrupted or gets no
    answer, run it again with the same token.

    Example: certcast-manager join-cluster --name manager2.example.com --address 192.0.2.11
    """
    settings = load(config=config, data=data)
    if settings.data == real_directory(DEFAULT_DATA):
        give_to_account(settings.data)
    become_owner(settings.data)
    from manager.channel.clustering import NAMES_MAX, decode_token
    from manager.join_cluster import join_cluster as join

    names, addresses = tuple(name or ()) or (socket.getfqdn().lower(),), tuple(address or ())
    if max(len(names), len(addresses)) > NAMES_MAX:
        raise InvalidInputError(
            "names", f"give {NAMES_MAX} names and {NAMES_MAX} addresses at most; more are described later"
        )
    token = decode_token(_token(from_stdin=token_stdin))
    done = asyncio.run(join(settings, token, names=names, addresses=addresses))
    again = (
        " An earlier run had been answered already; this one went on from there." if done.was_resumed else ""
    )
    at = "" if settings.data == DEFAULT_DATA else f" (--data {shlex.quote(str(settings.data))})"
    say(
        f"This machine is manager '{done.node}' now, with its key in {settings.data}.{again} It serves beside the others once it is started. "
        f"Next: systemctl enable --now certcast-manager{at}"
    )


def _check_shared(settings: Settings, *, tells: bool) -> None:
    if settings.database is None:
        raise ConflictError(
            "the store is in a file, and several managers need it in PostgreSQL: set 'database', and move the store with "
            "'certcast-manager migrate-store --to postgresql'"
        )
    if tells and any(host.is_local for host in settings.database.hosts):
        raise InvalidInputError(
            "database",
            "the address of the database is one of this machine only, and cannot be told to another: without --with-database, set "
            "'database' on the new machine yourself",
        )


def _token(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Token", hide_input=True))  # noqa: TID251 - asks for a secret
