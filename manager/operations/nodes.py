"""Adding and removing nodes, and the tokens with which they join."""

import contextlib
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from common.errors import CertcastError, ConflictError, InvalidInputError, NotFoundError
from common.ids import MANAGEMENT_NODE, NodeName, node_name
from common.pki.selfsigned import make_temporary
from common.wire.enrolment import JoinToken, encode_token, hash_secret, new_secret
from manager.domain.model import NodeKind, NodeRecord
from manager.operations.certificates import new_certificate
from manager.operations.context import Context
from manager.operations.workers import MAKE_KEY_TIMEOUT_S

log = structlog.get_logger(__name__)

NAMES_MAX: Final = 32
"""Names or addresses of one node: a temporary certificate carries them all."""

_DNS_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinFacts:
    """What a join token says besides its node: where to dial, whom to expect, how long it lives."""

    addresses: Callable[[], Sequence[str]]
    fingerprint: str
    lifetime_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A join token, shown once."""

    text: str = field(repr=False)
    expires_s: float


class NodeOperations:
    """See the module. `join` is None where no token can be made (while the store is being initialised)."""

    def __init__(self, context: Context, join: JoinFacts | None) -> None:
        self._context = context
        self._join = join

    async def add(
        self, name: str, *, names: Sequence[str], addresses: Sequence[str], actor: str
    ) -> tuple[NodeRecord, NewToken]:
        """Add a node with a temporary certificate; return it and its join token.

        Raises InvalidInputError, ConflictError (name taken).
        """
        checked = node_name(name)
        if checked == MANAGEMENT_NODE:
            raise ConflictError(f"'{MANAGEMENT_NODE}' is the name of the manager itself")
        record = await self._add(checked, "node", names=names, addresses=addresses, actor=actor)
        return record, await self.new_token(checked, actor=actor)

    async def add_management_node(
        self, *, names: Sequence[str], addresses: Sequence[str], actor: str
    ) -> NodeRecord:
        """Add the node that is the manager itself."""
        return await self._add(MANAGEMENT_NODE, "management", names=names, addresses=addresses, actor=actor)

    async def remove(self, name: str, *, actor: str) -> None:
        """Remove a node: its key is forgotten and its connection ends; its services stay as they are."""
        checked = node_name(name)
        if checked == MANAGEMENT_NODE:
            raise ConflictError("the management node cannot be removed")
        temporary = [
            each.certificate_id
            for each in await self._context.store.assignments.list()
            if each.node == checked
        ]
        await self._context.store.nodes.remove(checked)
        await self._context.fleet.node_removed(checked)
        self._context.stirred.set()
        await self._context.note(actor, "node.removed", f"node {checked}")
        log.info("node.removed", node=checked, user=actor)
        await self._drop_temporary(temporary)

    async def new_token(self, name: str, *, actor: str) -> NewToken:
        """Make a join token for a node. Raises NotFoundError, ConflictError (too many unused ones)."""
        checked = node_name(name)
        if self._join is None or checked == MANAGEMENT_NODE:
            raise ConflictError("the management node does not join")
        now_s = self._context.clock()
        secret, expires_s = new_secret(), now_s + self._join.lifetime_s
        await self._context.store.nodes.add_join_token(
            checked, secret_hash=hash_secret(secret), expires_s=expires_s, now_s=now_s
        )
        await self._context.note(actor, "node.token_made", f"node {checked}", {"expires_s": expires_s})
        token = JoinToken(
            node=checked,
            addresses=list(self._join.addresses()),
            fingerprint=self._join.fingerprint,
            secret=secret,
            expires_s=expires_s,
        )
        return NewToken(text=encode_token(token), expires_s=expires_s)

    async def _add(
        self, name: NodeName, kind: NodeKind, *, names: Sequence[str], addresses: Sequence[str], actor: str
    ) -> NodeRecord:
        known, at = _dns_names(names or [name]), _addresses(addresses)
        store = self._context.store
        if any(known_node.name == name for known_node in await store.nodes.list()):
            raise ConflictError(f"there is a node '{name}' already")
        # made first, because it takes seconds and may fail: nothing is kept until it is there
        material = await self._context.workers.run(
            MAKE_KEY_TIMEOUT_S, make_temporary, names=known, addresses=at, now_s=int(self._context.clock())
        )
        now_s = self._context.clock()
        record = await store.nodes.add(name, kind, names=known, addresses=at, now_s=now_s)
        try:
            temporary = new_certificate(material, temporary=True)
            await store.certificates.add(temporary, nodes=[name], now_s=now_s)
        except CertcastError:
            # a node without its certificate would be half of one, and its name would be taken
            with contextlib.suppress(CertcastError):
                await store.nodes.remove(name)
            raise
        await self._context.note(actor, "node.added", f"node {name}", {"names": known, "addresses": at})
        log.info("node.added", node=name, user=actor)
        await self._context.fleet.node_added(record)
        self._context.stirred.set()
        return record

    async def _drop_temporary(self, certificate_ids: Sequence[int]) -> None:
        """A temporary certificate goes with its node."""
        certificates = self._context.store.certificates
        for certificate_id in certificate_ids:
            # somebody else may have deleted it meanwhile
            with contextlib.suppress(NotFoundError, ConflictError):
                record = await certificates.get(certificate_id)
                if record.temporary and not await certificates.nodes_of(certificate_id):
                    await certificates.delete([certificate_id], even_assigned=False)


def _dns_names(names: Sequence[str]) -> tuple[str, ...]:
    if len(names) > NAMES_MAX:
        raise InvalidInputError("names", f"a node has at most {NAMES_MAX} names")
    lowered = tuple(dict.fromkeys(name.strip().lower().removesuffix(".") for name in names))
    for name in lowered:
        if not _DNS_NAME.fullmatch(name):
            raise InvalidInputError(
                "names", f"'{name[:80]}' is not a DNS name (for example node1.example.com)"
            )
    return lowered


def _addresses(addresses: Sequence[str]) -> tuple[str, ...]:
    if len(addresses) > NAMES_MAX:
        raise InvalidInputError("addresses", f"a node has at most {NAMES_MAX} addresses")
    found = []
    for address in addresses:
        try:
            found.append(str(ipaddress.ip_address(address.strip())))
        except ValueError as error:
            raise InvalidInputError(
                "addresses", f"'{address[:80]}' is not an IP address (for example 192.0.2.10 or 2001:db8::10)"
            ) from error
    return tuple(dict.fromkeys(found))
