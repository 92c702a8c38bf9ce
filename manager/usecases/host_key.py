"""Replacement of the manager's host key, by which nodes recognise it: announce, switch, drop.

Decides what is recorded, and names the nodes that a step would lock out before it is made. `present` changes
the presented key and informs the nodes. Invariant: each step is one transaction with its audit entry, so
after a crash it has happened completely or not at all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import asyncssh
import structlog

from common.codes import HostKeyState
from common.errors import ConflictError, StorageError
from common.runtime.ssh import fingerprint, generate_key, load_key, public_line
from manager.domain.host_key import HostKeys, Step, after, find_unconfirmed
from manager.domain.view import NodeView
from manager.usecases.context import Context

log = structlog.get_logger(__name__)

KEYS_REFRESH_S: Final = 60.0
"""Interval at which steps of other managers are adopted."""

NAMED_MAX: Final = 20
"""Nodes that a refusal names."""

Present = Callable[[HostKeys, asyncssh.SSHKey, asyncssh.SSHKey | None], Awaitable[None]]
"""Applies the store's keys: their names, the presented key and the other one."""


class HostKeyUseCases:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._present: Present | None = None
        self._presenting = asyncio.Lock()
        self._in_use: object = None

    async def begin(self, present: Present) -> None:
        """Apply the stored keys, now and after each step. Raises NotFoundError, StorageError."""
        self._present = present
        await self._take_into_use(present)

    async def refresh(self) -> None:
        """Apply key changes that another manager of this store made.

        Raises NotFoundError, StorageError.
        """
        if self._present is not None and await self._context.store.host_keys.read() != self._in_use:
            await self._take_into_use(self._present)

    async def run(self) -> None:
        """Call `refresh` each minute, until cancelled."""
        while True:
            await asyncio.sleep(KEYS_REFRESH_S)
            try:
                await self.refresh()
            except StorageError as error:
                log.error(
                    "store.failed", reason=error.reason, message=error.message, retry_after_s=KEYS_REFRESH_S
                )

    async def show(self) -> HostKeys:
        """Return the current keys."""
        host_keys = self._context.store.host_keys
        state, presented, other = await host_keys.read()
        return _named(state, presented, other, since_s=await host_keys.since_s())

    async def announce(self, *, actor: str) -> HostKeys:
        """Make and announce the next key. Raises ConflictError if one is already announced or in use."""
        return await self._step("announce", [], force=True, actor=actor)

    async def abandon(self, *, actor: str) -> HostKeys:
        """Forget the announced key.

        After the switch, present the former key again and keep the next one announced.
        """
        state, _, _ = await self._context.store.host_keys.read()
        return await self._step("return" if state == "switched" else "abandon", [], force=True, actor=actor)

    async def switch(self, views: Sequence[NodeView], *, force: bool, actor: str) -> HostKeys:
        """Present the announced key, which the former key vouches for.

        Raises ConflictError with the nodes that have not confirmed it.
        """
        return await self._step("switch", views, force=force, actor=actor)

    async def drop(self, views: Sequence[NodeView], *, force: bool, actor: str) -> HostKeys:
        """Forget the former key. Raises ConflictError with the nodes that would be locked out."""
        return await self._step("drop", views, force=force, actor=actor)

    async def _step(self, step: Step, views: Sequence[NodeView], *, force: bool, actor: str) -> HostKeys:
        present = self._present
        if present is None:
            raise ConflictError("the manager is not running; start it first")
        store = self._context.store
        async with store.transaction():
            state, presented, other = await store.host_keys.read()
            then = after(state, step)
            since_s = await store.host_keys.since_s()
            missing = find_unconfirmed(views, _named(state, presented, other, since_s=since_s))
            if missing and not force:
                named = ", ".join(missing[:NAMED_MAX])
                more = f" and {len(missing) - NAMED_MAX} more" if len(missing) > NAMED_MAX else ""
                raise ConflictError(f"{_LOCKED_OUT[step]}: {named}{more}")
            match step:
                case "announce":
                    other = generate_key()
                case "abandon" | "drop":
                    other = None
                case "switch" | "return":
                    presented, other = other or presented, presented
                    since_s = self._context.clock()
                    await store.host_keys.keep_since(since_s)
            await store.host_keys.keep(then, presented, other)
            keys = _named(then, presented, other, since_s=since_s)
            detail = {
                "presented": fingerprint(keys.presented),
                "other": fingerprint(keys.other) if keys.other else "",
                "unconfirmed": [*missing],
            }
            await self._context.audit(actor, _ACTS[step], "host key", detail)
        await self._take_into_use(present)
        return keys

    async def _take_into_use(self, present: Present) -> None:
        # of two concurrent steps, the later one must determine the presented key
        async with self._presenting:
            host_keys = self._context.store.host_keys
            found, since_s = await host_keys.read(), await host_keys.since_s()
            state, presented, other = found
            await present(
                _named(state, presented, other, since_s=since_s),
                load_key(presented),
                load_key(other) if other else None,
            )
            self._in_use = found


def _named(state: HostKeyState, presented: bytes, other: bytes | None, *, since_s: float) -> HostKeys:
    line = public_line(load_key(other)) if other is not None else ""
    return HostKeys(state=state, presented=public_line(load_key(presented)), other=line, since_s=since_s)


_LOCKED_OUT: Final[Mapping[Step, str]] = {
    "switch": "these nodes have not confirmed the next host key, and those whose agents are of an earlier release could not come back",
    "drop": "these nodes have seen no proof of the key that is in use: those that are connected are being sent back for it and come again in a minute "
    "or two, the others could not come back without a new join token",
}
_ACTS: Final[Mapping[Step, str]] = {
    "announce": "host_key.announced",
    "abandon": "host_key.abandoned",
    "switch": "host_key.switched",
    "return": "host_key.returned",
    "drop": "host_key.dropped",
}
