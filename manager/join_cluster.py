"""Joining a cluster: makes this machine's directory that of another manager of an existing store.

Decides the order of writes, so that a killed command can be run again. Before the other manager answers there
is only a key, by which a used token is recognised. The answer is stored whole before it is tried. The
key-encryption key, without which nothing is served, gets its name last. Invariant: secrets are readable only
by the owner, and are in no error.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from common.errors import (
    ConflictError,
    EnrolmentError,
    InvalidInputError,
    NotFoundError,
    ProtocolError,
    Reason,
    StorageError,
)
from common.ids import NodeName, node_name
from common.runtime import durable, trusted
from common.runtime.dial import Advice
from common.runtime.question import ask
from common.runtime.ssh import CLUSTER_SUBSYSTEM, fingerprint, generate_key, load_key, public_line
from common.wire.joining import only_frame
from manager.channel.clustering import (
    ManagerReply,
    ManagerRequest,
    ManagerToken,
    ReplyDecoder,
)
from manager.database_setting import TOLD_FILE, read_told
from manager.own_node import NODE_FILE, own_node, write_own_node
from manager.settings import Settings
from manager.store.address import ServerAddress
from manager.store.failures import DISK_FULL, is_out_of_space
from manager.store.opening import check_there, open_store
from manager.store.place import StorePlace
from manager.store.sealing import KEK_FILE, keyring_of, load_keyring, read_kek
from manager.usecases.managers import Shared

STAGED: Final = ".joining"
"""Where the files are staged that are published at the end, in the manager's directory."""

KEY_FILE: Final = "key"
"""The key by which a used token is recognised; it goes with the staged directory."""

KEY_BYTES_MAX: Final = 4096

_PUBLISHED: Final = (NODE_FILE, TOLD_FILE, KEK_FILE)
"""In this order: with the first the directory no longer belongs to another manager, and without the last it
cannot be opened.
"""

_MAY_BE_THERE: Final = frozenset((STAGED, KEK_FILE, "lost+found"))
_ADVICE: Final = Advice(
    stranger="not the one in the token; if the host key was replaced since, make a new token",
    unknown="does not let managers join: it runs an earlier release, or is not a manager",
)


async def shared_by(settings: Settings) -> Shared:
    """Return the data that a manager gives to a joining one."""
    return Shared(
        read_kek=lambda: asyncio.to_thread(read_kek, settings.data),
        kek_ids=(await asyncio.to_thread(load_keyring, settings.data)).ids,
        database=settings.database.url if settings.database is not None else "",
        version=version("certcast"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """This manager's new node, and whether an earlier run was continued."""

    node: NodeName
    was_resumed: bool


async def join_cluster(
    settings: Settings, token: ManagerToken, *, names: Sequence[str], addresses: Sequence[str]
) -> Done:
    """Join this machine's manager to the cluster a token names. Run it again if it was interrupted.

    Raises ConflictError (the directory is in use), InvalidInputError, EnrolmentError, UnreachableError,
    AccessError, StorageError.
    """
    data, staged = settings.data, settings.data / STAGED
    try:
        was_answered = await asyncio.to_thread(_make_directories, data, staged)
        if not was_answered:
            await _ask(settings, token, names=names, addresses=addresses)
        node = await asyncio.to_thread(_published_or_staged_node, data, staged)
        await _try(settings, token, node)
        await asyncio.to_thread(_publish, data, staged)
    except OSError as error:
        if is_out_of_space(error):
            raise StorageError(DISK_FULL) from error
        raise StorageError(
            f"{error.filename or data} cannot be used: {error.strerror}", reason=Reason.PERMISSION
        ) from error
    return Done(node=node, was_resumed=was_answered)


def _make_directories(data: Path, staged: Path) -> bool:
    """Make both; return whether an earlier run got its answer. Raises ConflictError, OSError."""
    durable.make_dirs(data.parent, 0o755)
    durable.make_dir(data, 0o700)
    names = set(trusted.names_in(data))
    if STAGED not in names:
        _check_empty(data, names)
        durable.make_dir(staged, 0o700)
        return False
    return NODE_FILE in names or NODE_FILE in trusted.names_in(staged)


def _check_empty(data: Path, names: set[str]) -> None:
    if NODE_FILE in names:
        raise ConflictError(f"{data} is that of manager '{own_node(data)}' already; nothing was changed")
    if others := sorted(names - _MAY_BE_THERE):
        raise ConflictError(
            f"{data} is not empty: it has '{others[0]}'; name a directory that is empty or does not exist yet"
        )


async def _ask(
    settings: Settings, token: ManagerToken, *, names: Sequence[str], addresses: Sequence[str]
) -> None:
    """Request this manager's data, and store the answer."""
    data, staged = settings.data, settings.data / STAGED
    if settings.database is None and not token.tells_database:
        raise InvalidInputError(
            "database",
            "the setting 'database' is missing: it has to name the PostgreSQL database of the managers that this one joins, as it does "
            "there, or the token must be one that tells it",
        )
    if settings.database is not None:
        # before the token is used: whoever cannot reach the database has no use for the key
        await check_there(settings.place)
    key = load_key(await asyncio.to_thread(_ensure_key, staged))
    held = await asyncio.to_thread(_held_keys, data)
    reply = await ask(
        token.addresses,
        subsystem=CLUSTER_SUBSYSTEM,
        key=key,
        trusts=lambda line: fingerprint(line) == token.fingerprint,
        advice=_ADVICE,
        question=only_frame(
            ManagerRequest(
                secret=token.secret,
                version=version("certcast"),
                names=list(names),
                addresses=list(addresses),
                holds=list(held),
            )
        ),
        decode=ReplyDecoder().take,
    )
    _check_reply(reply, token, data, held)
    await asyncio.to_thread(_keep_answer, staged, reply, told=settings.database is None, has_key=bool(held))


def _ensure_key(staged: Path) -> bytes:
    path = staged / KEY_FILE
    try:
        return trusted.read_own_file(path, KEY_BYTES_MAX)
    except FileNotFoundError:
        durable.write_file(path, made := generate_key(), mode=0o600)
        return made


def _held_keys(data: Path) -> Sequence[str]:
    """Return the ids of the key-encryption keys that were handed to this manager: as a credential, or as a file."""
    try:
        return load_keyring(data).ids
    except NotFoundError:
        return ()


def _check_reply(reply: ManagerReply, token: ManagerToken, data: Path, held: Sequence[str]) -> None:
    if not reply.ok:
        reason = Reason(reply.reason) if reply.reason in set(Reason) else Reason.INTERNAL
        late = " (this machine's clock says that it has expired)" if token.expires_s < time.time() else ""
        raise EnrolmentError(f"the manager refused: {reply.message}{late}", reason=reason)
    if token.fingerprint not in map(fingerprint, reply.host_keys):
        raise ProtocolError("the manager answered with host keys other than the token's")
    if reply.kek and held:
        raise ConflictError(
            f"the key-encryption key that is here ({data / KEK_FILE}, or a credential) is that of another store; move it away"
        )
    if not (reply.kek or held):
        raise ProtocolError("the manager's answer has no key-encryption key")
    try:
        node_name(reply.node)
        if reply.kek:
            keyring_of(reply.kek)
        if reply.database:
            ServerAddress.parse(reply.database)
    except (InvalidInputError, ValueError):
        # without the error that led here: what it read is secret
        raise ProtocolError("the manager's answer cannot be used") from None


def _keep_answer(staged: Path, reply: ManagerReply, *, told: bool, has_key: bool) -> None:
    """Keep it; the node's name is last, and says that all of it is there."""
    if not has_key:
        durable.write_file(staged / KEK_FILE, reply.kek, mode=0o600)
    if told:
        durable.write_file(staged / TOLD_FILE, f"{reply.database}\n".encode(), mode=0o600)
    write_own_node(staged, NodeName(reply.node))


def _published_or_staged_node(data: Path, staged: Path) -> NodeName:
    return own_node(staged if NODE_FILE in trusted.names_in(staged) else data)


async def _try(settings: Settings, token: ManagerToken, node: NodeName) -> None:
    """Open the store as this manager will, and see that it is the one whose managers the token names."""
    place = await asyncio.to_thread(_place, settings)
    async with open_store(place) as store:
        _, presented, other = await store.host_keys.read()
        known = {fingerprint(public_line(load_key(each))) for each in (presented, other) if each is not None}
        if token.fingerprint not in known:
            raise ConflictError(
                f"{place} holds a store of other managers than the token's: their host keys differ. Correct the setting 'database'"
            )
        try:
            record = await store.nodes.get(node)
        except NotFoundError:
            record = None
        if record is None or record.kind != "management":
            raise ConflictError(
                f"the store has no management node '{node}' any more, which this manager joined as; empty {settings.data}, and join with a new token"
            )


def _place(settings: Settings) -> StorePlace:
    """Return the store's place, and where the key is now: published, staged or handed over."""
    staged = settings.data / STAGED
    directory = staged if KEK_FILE in trusted.names_in(staged) else settings.data
    if settings.database is not None:
        return StorePlace(directory, settings.database)
    told = staged if TOLD_FILE in trusted.names_in(staged) else settings.data
    address = read_told(told)
    if address is None:
        raise InvalidInputError(
            "database",
            "the setting 'database' was given when this join began, and is missing now; set it again",
        )
    return StorePlace(directory, ServerAddress.parse(address))


def _publish(data: Path, staged: Path) -> None:
    for name in _PUBLISHED:
        if name in trusted.names_in(staged):
            durable.publish(staged / name, data / name)
    with contextlib.suppress(FileNotFoundError):
        durable.remove_tree(staged)
