"""Node use cases: adding and removing nodes, and issuing the tokens with which they join."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from common.codes import NodeKind
from common.errors import ChangedMeanwhileError, ConflictError, InvalidInputError
from common.ids import MANAGEMENT_NODE, NO_CERTIFICATE, CertificateId, NodeName
from common.runtime.long_loops import by_turns
from common.runtime.ssh import JOIN_USER
from common.wire.enrolment import JoinToken, encode_token, hash_secret, new_secret
from manager.domain.callers import Maker
from manager.domain.consequences import Consequence
from manager.domain.etag import etag_of_node
from manager.domain.inventory import Inventory
from manager.domain.model import JoinTokenRecord, NodeDescription, NodeRecord
from manager.domain.moves import Move
from manager.domain.node_names import check_description, check_own_address, next_manager
from manager.domain.placements import of_describing
from manager.pki.write.selfsigned import make_temporary
from manager.store.records import NewCertificate
from manager.usecases.confirming import Impact, assess_node_removal, facts_of
from manager.usecases.context import Context
from manager.usecases.kept import new_certificate
from manager.usecases.renewal.slots import take_from_renewals
from manager.usecases.workers import MAKE_KEY_TIMEOUT_S

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinFacts:
    """Contents of a join token besides its node: the address to dial, the expected host key, its lifetime."""

    addresses: Callable[[], Sequence[str]]
    fingerprint: Callable[[], str]
    lifetime_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A join token, shown only once."""

    text: str = field(repr=False)
    expires_s: float


class NodeUseCases:
    """Use cases of nodes. `join` is None where no token can be issued (while the store is being initialised)."""

    def __init__(self, context: Context, join: JoinFacts | None) -> None:
        self._context = context
        self._join = join

    async def get(self, name: NodeName) -> NodeRecord:
        """Return one node. Raises NotFoundError."""
        return await self._context.store.nodes.get(name)

    async def locations(self) -> Mapping[int, str]:
        """Return the names of the system locations that clients of the existing API store, by id."""
        found = await self._context.store.documents.all("system_location")
        return {number: str(body.get("name", "")) for number, body in found.items()}

    async def add(
        self, name: NodeName, described: NodeDescription, *, maker: Maker, actor: str
    ) -> tuple[NodeRecord, IssuedToken]:
        """Add a node with a temporary certificate; return it and its join token.

        A node without names is known only by its own. Raises InvalidInputError (another node has one of its
        addresses), ConflictError (name taken) or NotFoundError (certificate).
        """
        async with self._adding(name, described, actor) as record:
            token = await self.new_token(record.name, maker=maker, actor=actor)
        return record, token

    async def add_without_token(
        self, name: NodeName, described: NodeDescription, *, actor: str
    ) -> NodeRecord:
        """Add a node like `add`, for a caller that may not receive a join token. Raises the same errors."""
        async with self._adding(name, described, actor) as record:
            return record

    @asynccontextmanager
    async def _adding(
        self, name: NodeName, described: NodeDescription, actor: str
    ) -> AsyncIterator[NodeRecord]:
        """Add a node in one transaction together with the caller's changes."""
        if name == MANAGEMENT_NODE:
            raise ConflictError(f"'{MANAGEMENT_NODE}' is the name of the manager itself")
        if name == JOIN_USER:
            raise ConflictError(f"'{JOIN_USER}' is the name under which nodes log in to join; choose another")
        named = replace(described, names=described.names or [name])
        new, temporary = await self._prepared(name, named, kind="node")
        async with self._context.store.transaction():
            record = await self._keep(name, "node", new, temporary, actor=actor)
            yield record
        self._added(record, actor=actor)

    async def add_management_node(
        self, *, names: Sequence[str], addresses: Sequence[str], actor: str
    ) -> NodeRecord:
        """Add this manager's own node, the first one of a new store."""
        own = self._context.own_node
        described = NodeDescription(names=names or [own], addresses=addresses)
        new, temporary = await self._prepared(own, described, kind="management")
        async with self._context.store.transaction():
            record = await self._keep(own, "management", new, temporary, actor=actor)
        self._added(record, actor=actor)
        return record

    @asynccontextmanager
    async def adding_management_node(
        self, *, names: Sequence[str], addresses: Sequence[str]
    ) -> AsyncIterator[NodeRecord]:
        """Add another manager's node, with its own name, in one transaction with the caller's changes.

        Raises InvalidInputError.
        """
        if not names:
            raise InvalidInputError("names", "a manager needs a DNS name")
        described = NodeDescription(names=names, addresses=addresses)
        new, temporary = await self._prepared(None, described, kind="management")
        async with self._context.store.transaction():
            store = self._context.store
            taken = {each.name for each in await store.nodes.list()}
            number, name = next_manager(await store.manager_tokens.number_given(), taken)
            await store.manager_tokens.give_number(number)
            record = await self._keep(name, "management", new, temporary, actor=f"node {name}")
            yield record
        self._added(record, actor=f"node {name}")

    async def describe(
        self,
        name: NodeName,
        described: NodeDescription,
        *,
        seen: str | None = None,
        confirm: str | None = None,
        actor: str,
    ) -> Sequence[Consequence]:
        """Replace all that is known about a node except its key, and its slots, at once.

        Return the consequences.

        `seen` is the tag of the version that the user edited (`manager.domain.etag`); `confirm` is explained
        in `manager.usecases.confirming`. Raises InvalidInputError, NotFoundError (node, certificate),
        ChangedMeanwhileError or ConfirmationNeededError; nothing is changed then.
        """
        new = check_description(described)
        slots = dict(new.slots)
        detail = {"names": new.names, "addresses": new.addresses, "slots": slots}
        async with self._context.deciding() as inventory:
            impact = await self._assess(name, new, seen, inventory)
            impact.require_confirmation(confirm)
            await self._context.store.catalogue.describe(name, new)
            await self._context.audit(actor, "node.described", f"node {name}", detail)
        for slot, certificate_id in slots.items():
            if certificate_id is not None:
                log.info("certificate.assigned", certificate=certificate_id, slot=slot, count=1, user=actor)
        self._context.changed([name], cause=f"node {name} described")
        return impact.consequences

    async def remove(self, *names: NodeName, confirm: str | None = None, actor: str) -> None:
        """Remove all of these nodes or none.

        Their keys are forgotten and their connections closed; their services stay as is.

        Raises NotFoundError, ConflictError (this manager's own node, or the node of a running manager) or
        ConfirmationNeededError (`manager.usecases.confirming`).
        """
        removed = list(dict.fromkeys(names))
        if self._context.own_node in removed:
            raise ConflictError("the management node cannot be removed")
        async with self._context.deciding() as inventory:
            await self._check_not_serving(inventory, removed)
            impact = await asyncio.to_thread(assess_node_removal, inventory, removed)
            impact.require_confirmation(confirm)
            places = await self._context.store.assignments.of(removed)
            await self._context.store.nodes.remove(*removed)
            await self._drop_temporary({each.certificate_id for each in places})
            await take_from_renewals(self._context, removed, actor=actor)
            for name in removed:
                await self._context.store.address_book.forget(name)
                await self._context.store.manager_tokens.forget(name)
                await self._context.audit(actor, "node.removed", f"node {name}")
                self._context.store.after_commit(partial(self._context.fleet.node_removed, name))
        self._context.content_changed.set()
        async for name in by_turns(removed):
            log.info("node.removed", node=name, user=actor)

    async def new_token(self, name: NodeName, *, maker: Maker, actor: str) -> IssuedToken:
        """Issue a join token for a node. It expires no later than its maker's own credential.

        Raises NotFoundError or ConflictError (too many unused tokens).
        """
        if self._join is None:
            raise ConflictError("the manager is not running; start it first")
        now_s = self._context.clock()
        secret, expires_s = new_secret(), min(now_s + self._join.lifetime_s, maker.until_s)
        async with self._context.store.transaction():
            if (await self._context.store.nodes.get(name)).kind == "management":
                raise ConflictError("management nodes cannot join with a node's token")
            await self._context.store.nodes.add_join_token(
                name,
                secret_hash=hash_secret(secret),
                created_by=actor,
                maker=maker,
                expires_s=expires_s,
                now_s=now_s,
            )
            await self._context.audit(actor, "node.token_made", f"node {name}", {"expires_s": expires_s})
        token = JoinToken(
            node=name,
            addresses=list(self._join.addresses()),
            fingerprint=self._join.fingerprint(),
            secret=secret,
            expires_s=expires_s,
        )
        return IssuedToken(text=encode_token(token), expires_s=expires_s)

    async def join_tokens(self, name: NodeName | None = None) -> Sequence[JoinTokenRecord]:
        """Return the usable join tokens of a node (None: of all nodes), without their secrets.

        Raises NotFoundError.
        """
        if name is not None:
            await self._context.store.nodes.get(name)
        return await self._context.store.nodes.join_tokens(name, now_s=self._context.clock())

    async def remove_token(self, name: NodeName, token_id: int, *, actor: str) -> None:
        """Revoke an unused join token of a node. Raises NotFoundError."""
        async with self._context.store.transaction():
            await self._context.store.nodes.remove_join_token(name, token_id)
            await self._context.audit(actor, "node.token_removed", f"node {name}", {"token": token_id})

    async def _check_not_serving(self, inventory: Inventory, names: Collection[NodeName]) -> None:
        members = {each.node for each in await self._context.store.members.list()}
        for record in inventory.nodes.values():
            is_of_manager = record.name in names and record.kind == "management"
            if is_of_manager and (record.name in members or self._context.fleet.is_connected(record.name)):
                raise ConflictError(f"the manager of node '{record.name}' serves; stop it first")

    async def _assess(
        self, name: NodeName, described: NodeDescription, seen: str | None, inventory: Inventory
    ) -> Impact:
        """Assess a description's effect on a node's certificates.

        Raises NotFoundError, ChangedMeanwhileError.
        """
        record = await self._context.store.nodes.get(name)
        if seen is not None and etag_of_node(record) != seen:
            raise ChangedMeanwhileError(f"node '{name}' was changed in the meantime")
        if record.kind == "node" and described.addresses[:1] != record.addresses[:1]:
            check_own_address(
                described.addresses, [each for each in inventory.nodes.values() if each.name != name]
            )
        moves = []
        for slot, number in described.slots.items():
            before = inventory.entries.get(inventory.slots.get((name, slot), NO_CERTIFICATE))
            after = inventory.entries.get(number or NO_CERTIFICATE)
            if before is not after:
                moves.append(Move(node=name, slot=slot, before=before, after=after))
        renamed = replace(record, names=tuple(described.names), addresses=tuple(described.addresses))
        now_s = int(self._context.clock())
        return Impact(
            consequences=of_describing(record, renamed, inventory, moves, now_s=now_s),
            facts=[facts_of(moves, inventory), record.id, list(renamed.names)],
        )

    async def _prepared(
        self, name: NodeName | None, described: NodeDescription, *, kind: NodeKind
    ) -> tuple[NodeDescription, NewCertificate]:
        """Check a new node and make its temporary certificate, which takes seconds and may fail."""
        new = check_description(described)
        there = await self._context.store.nodes.list()
        if any(known_node.name == name for known_node in there):
            raise ConflictError(f"a node '{name}' already exists")
        if kind == "node":
            check_own_address(new.addresses, there)
        material = await self._context.workers.run(
            MAKE_KEY_TIMEOUT_S,
            make_temporary,
            names=new.names,
            addresses=new.addresses,
            now_s=int(self._context.clock()),
        )
        return new, new_certificate(material, temporary=True)

    async def _keep(
        self, name: NodeName, kind: NodeKind, new: NodeDescription, temporary: NewCertificate, *, actor: str
    ) -> NodeRecord:
        store, now_s = self._context.store, self._context.clock()
        if kind == "node":
            check_own_address(new.addresses, await store.nodes.list())
        record = await store.nodes.add(
            name, kind, names=new.names, addresses=new.addresses, detail=new.detail, now_s=now_s
        )
        await store.certificates.add(temporary, nodes=[name], now_s=now_s)
        if new.slots:
            await store.catalogue.describe(name, new)
        detail = {"names": new.names, "addresses": new.addresses}
        await self._context.audit(actor, "node.added", f"node {name}", detail)
        store.after_commit(lambda: self._context.fleet.node_added(record))
        return record

    def _added(self, record: NodeRecord, *, actor: str) -> None:
        log.info("node.added", node=record.name, user=actor)
        self._context.content_changed.set()

    async def _drop_temporary(self, certificate_ids: Collection[CertificateId]) -> None:
        """Delete the temporary certificate of a removed node."""
        certificates = self._context.store.certificates
        for certificate_id in certificate_ids:
            record = await certificates.get(certificate_id)
            if record.temporary and not await certificates.nodes_of(certificate_id):
                await certificates.delete([certificate_id], even_assigned=False)
