"""Replacing the manager's host key, by which nodes know it: announced, switched, dropped.

Decides what is recorded, and that a step which would lock nodes out names them before. Leaves to `present` who shows a key and who is told.
Invariant: each step is one transaction with its entry in the audit log, so that after whatever kills the manager it is whole or was not.
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
"""How often another manager's steps are taken over."""

NAMED_MAX: Final = 20
"""How many nodes a refusal names."""

Present = Callable[[HostKeys, asyncssh.SSHKey, asyncssh.SSHKey | None], Awaitable[None]]
"""Takes into use what the store has: the keys' names, the key that is presented, and the other one."""


class HostKeyUseCases:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._present: Present | None = None
        self._presenting = asyncio.Lock()
        self._in_use: object = None

    async def begin(self, present: Present) -> None:
        """Take into use what the store has, now and after each step. Raises NotFoundError, StorageError."""
        self._present = present
        await self._take_into_use(present)

    async def refresh(self) -> None:
        """Take into use what another manager of this store made of the keys. Raises NotFoundError, StorageError."""
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
        """Return which keys there are."""
        host_keys = self._context.store.host_keys
        state, presented, other = await host_keys.read()
        return _named(state, presented, other, since_s=await host_keys.since_s())

    async def announce(self, *, actor: str) -> HostKeys:
        """Make the next key and announce it. Raises ConflictError if one is announced or in use."""
        return await self._step("announce", [], force=True, actor=actor)

    async def abandon(self, *, actor: str) -> HostKeys:
        """Forget the announced key; after the switch, present the former key again, and keep the next one announced."""
        state, _, _ = await self._context.store.host_keys.read()
        return await self._step("return" if state == "switched" else "abandon", [], force=True, actor=actor)

    async def switch(self, views: Sequence[NodeView], *, force: bool, actor: str) -> HostKeys:
        """Present the announced key, for which the former one vouches. Raises ConflictError naming who has not confirmed it."""
        return await self._step("switch", views, force=force, actor=actor)

    async def drop(self, views: Sequence[NodeView], *, force: bool, actor: str) -> HostKeys:
        """Forget the former key. Raises ConflictError naming who would be locked out."""
        return await self._step("drop", views, force=force, actor=actor)

    async def _step(self, step: Step, views: Sequence[NodeView], *, force: bool, actor: str) -> HostKeys:
        present = self._present
        if present is None:
            raise ConflictError("the manager does not run; start it first")
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
        # of two steps the later one is what is presented in the end
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
