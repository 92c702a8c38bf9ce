"""Node key pinning: a node joins with a token, or rotates to another key of its own.

Decides what is recorded. The caller proves that the client holds the new key and that the old key vouched for
it. Invariant: a key replaces only the expected key, in the transaction that records it. Everything opened
with the former key ends before any other write.
"""

from functools import partial

from common.codes import KeyChangeKind
from common.ids import NodeName
from common.runtime.ssh import fingerprint
from common.source import source_of
from common.wire.enrolment import new_pinning
from manager.domain.attempts import Attempt
from manager.domain.model import KeyChange, NodeRecord
from manager.usecases.context import Context


class NodeKeyUseCases:
    """Use cases of node keys. `address` is the source of the request."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def key_of(self, name: NodeName) -> str:
        """Return a node's pinned key; "" if it has none or the node does not exist."""
        return await self._context.store.nodes.key_of(name)

    async def pinning_of(self, name: NodeName, public_key: str, *, make: bool = False) -> str:
        """Return the pinning id that a rotation of this key must name.

        "" if the node's agent never asked for one.

        `make` creates it when the agent asks.
        """
        nodes = self._context.store.nodes
        if make and not await nodes.pinning_of(name, public_key):
            await nodes.keep_pinning(name, public_key, new_pinning())
        return await nodes.pinning_of(name, public_key)

    async def join(
        self, name: NodeName, *, secret_hash: str, public_key: str, address: str, binds: bool = False
    ) -> None:
        """Pin a key with a token. Does nothing if the token has already pinned this key.

        `binds`: the node's agent names this pinning in statements that vouch for other keys; from then on
        only such statements count.

        Raises EnrolmentError, ConflictError (the key is another node's).
        """
        store = self._context.store
        # rejects guesses here, so that a flood of them does not block writers
        await store.nodes.check_join_token(name, secret_hash=secret_hash)
        async with store.transaction():
            former = await store.nodes.key_of(name)
            await store.nodes.redeem_join_token(
                name,
                secret_hash=secret_hash,
                public_key=public_key,
                now_s=self._context.clock(),
                pinning=new_pinning() if binds else "",
            )
            if former != public_key:
                record = await self._record(
                    name, "rejoined" if former else "joined", public_key, former, address
                )
                store.after_commit(partial(self._context.fleet.node_joined, record))
                store.after_commit(self._context.content_changed.set)

    async def rotate(
        self, name: NodeName, *, public_key: str, former_key: str, address: str, binds: bool = False
    ) -> None:
        """Pin a key in place of the one that vouched for it. `binds` as for a join.

        Raises EnrolmentError if the former key is no longer pinned, ConflictError.
        """
        store = self._context.store
        async with store.transaction():
            former = await store.nodes.key_of(name)
            pinning = new_pinning() if binds else ""
            await store.nodes.pin(name, public_key, former_key=former_key, pinning=pinning)
            if former != public_key:
                record = await self._record(name, "rotated", public_key, former, address)
                store.after_commit(partial(self._context.fleet.node_rotated, record))
                store.after_commit(self._context.content_changed.set)

    def note_refusal(self, name: NodeName, *, by_proof: bool, address: str) -> None:
        """Count a refused join, or a refused rotation (`by_proof`)."""
        attempt = Attempt.KEY_ROTATION_REFUSED if by_proof else Attempt.JOIN_REFUSED
        self._context.attempted(attempt, name=name, source=source_of(address))

    async def _record(
        self, name: NodeName, how: KeyChangeKind, public_key: str, former: str, address: str
    ) -> NodeRecord:
        change = KeyChange(
            how=how,
            at_s=self._context.clock(),
            address=address,
            fingerprint=fingerprint(public_key),
            former=fingerprint(former) if former else "",
            former_address=self._context.fleet.address_of(name) if former else "",
        )
        await self._context.store.nodes.keep_key_change(name, change)
        detail = {
            "address": change.address,
            "key": change.fingerprint,
            "former_key": change.former,
            "former_address": change.former_address,
        }
        await self._context.audit(f"node {name}", f"node.{how}", f"node {name}", detail)
        return await self._context.store.nodes.get(name)
