"""HTTP-01 challenges: every node that a CA may reach for a name answers for it (RFC 8555 8.3).

Decides which nodes these are, and when all of them serve their proofs: each is asked at its own address, as
the CA will do. A node's own report only explains the result. `manager.fleet.challenges` sends the challenges
to nodes. Invariants: only stored addresses of nodes are contacted. No message contains what is secret until
the CA asks.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Protocol

from common.challenge import CHALLENGES_MAX, is_response, is_token
from common.errors import ConflictError
from common.ids import NodeName
from common.text import printable
from manager.domain.challenges import PlacedChallenge
from manager.domain.model import NodeRecord
from manager.domain.renewal.places import nodes_asked
from manager.domain.renewal.records import Proof
from manager.fleet.challenge_check import ChallengeChecker, Check, CheckResult
from manager.store.inventory import Inventories
from manager.store.placed_challenges import PlacedChallenges
from manager.usecases.renewal.ports import CaError, Missing

ALL_CHECKED_S: Final = 60.0
"""Time limit for checking all nodes; unchecked ones count as missing."""

BEING_TOLD: Final = "the node is being told about it"

Expecting = Callable[[], Awaitable[Mapping[NodeName, Collection[str]]]]
"""Returns the names of first orders per node: those being ordered that the nodes have no certificate for yet."""


class Nodes(Protocol):
    """Connection state of nodes. `manager.fleet.fleet.Fleet` is the real one."""

    def address_of(self, name: NodeName) -> str:
        """Return the address of a node's last connection, "" if it never connected."""

    def is_connected(self, name: NodeName) -> bool:
        """Return whether a node is connected."""


@dataclass(frozen=True, slots=True)
class _Target:
    """A proof that a node has to serve, and the addresses at which to check it."""

    proof: Proof
    node: NodeName
    addresses: Sequence[str]


class HttpShowing:
    """Implements `manager.usecases.renewal.ports.Showing`.

    `placed` is called after the set of challenges changed.
    """

    def __init__(
        self,
        challenges: PlacedChallenges,
        inventories: Inventories,
        nodes: Nodes,
        *,
        checker: ChallengeChecker,
        expecting: Expecting,
        placed: Callable[[], None],
    ) -> None:
        self._challenges = challenges
        self._inventories = inventories
        self._nodes = nodes
        self._checker = checker
        self._expecting = expecting
        self._placed = placed

    async def place(self, proofs: Sequence[Proof], *, until_s: float) -> None:
        """Make every node of a name serve its proof. Raises CaError, StorageError."""
        for proof in proofs:
            if not is_token(proof.token) or not is_response(proof.response):
                raise CaError(
                    f"the CA's challenge for {proof.name} cannot be shown: its token is not base64url (RFC 8555 8.3)",
                    is_final=True,
                )
        nodes = await self._nodes_of(proofs)
        for proof in proofs:
            if not nodes[proof.name]:
                raise CaError(_nobody(proof.name))
        wanted: dict[NodeName, dict[str, str]] = {}
        for proof in proofs:
            for node in nodes[proof.name]:
                wanted.setdefault(node, {})[proof.token] = proof.response
        try:
            await self._challenges.place(wanted, until_s=until_s)
        except ConflictError as error:
            raise CaError(error.message) from error
        self._placed()

    async def missing(self, proofs: Sequence[Proof]) -> Sequence[Missing]:
        """Ask every node for each of its proofs; return the missing ones. Raises StorageError."""
        nodes = await self._nodes_of(proofs)
        records = (await self._inventories.current()).nodes
        counts = Counter(address for record in records.values() for address in set(record.addresses))
        shared = {address for address, count in counts.items() if count > 1}
        placed = {
            (each.node, each.token): each
            for each in await self._challenges.of({proof.token for proof in proofs})
        }
        found = [
            Missing(where="", name=proof.name, message=_nobody(proof.name))
            for proof in proofs
            if not nodes[proof.name]
        ]
        targets = [
            _Target(proof, node, self._addresses(records[node], shared))
            for proof in proofs
            for node in sorted(nodes[proof.name])
            if node in records
        ]
        for target, result in zip(targets, await self._check_all(targets), strict=True):
            if result.kind != "right":
                said = self._reported(target.node, placed.get((target.node, target.proof.token)))
                found.append(
                    Missing(
                        where=f"node '{target.node}', port 80",
                        name=target.proof.name,
                        message=f"{result.message}; {said}",
                        is_being_told=said is BEING_TOLD,
                    )
                )
        return found

    async def remove(self, proofs: Sequence[Proof]) -> None:
        """Stop serving these proofs. Raises StorageError."""
        await self._challenges.remove({proof.token for proof in proofs})
        self._placed()

    # -- inside

    async def _nodes_of(self, proofs: Sequence[Proof]) -> Mapping[str, frozenset[NodeName]]:
        expecting, inventory = await self._expecting(), await self._inventories.current()
        return await asyncio.to_thread(nodes_asked, inventory, [proof.name for proof in proofs], expecting)

    def _addresses(self, record: NodeRecord, shared: Collection[str]) -> Sequence[str]:
        """Return a node's first address and its unshared ones; without any, its connection's address."""
        own = record.addresses[:1] + tuple(each for each in record.addresses[1:] if each not in shared)
        seen = self._nodes.address_of(record.name)
        return own or ((seen,) if _is_address(seen) else ())

    async def _check_all(self, targets: Sequence[_Target]) -> Sequence[CheckResult]:
        """Check all targets, some concurrently; those not finished in time count as unreachable."""
        results = [CheckResult("nobody", "it could not be asked in time")] * len(targets)

        async def run(number: int, target: _Target, check: Check) -> None:
            results[number] = await _check(target, check)

        with suppress(TimeoutError):
            async with (
                asyncio.timeout(ALL_CHECKED_S),
                self._checker.open() as check,
                asyncio.TaskGroup() as group,
            ):
                for number, target in enumerate(targets):
                    group.create_task(run(number, target, check))
        return results

    def _reported(self, node: NodeName, placed: PlacedChallenge | None) -> str:
        """Return what the node itself reports about a challenge."""
        if placed is None:
            return f"it is not in the node's list of challenges, which has at most {CHALLENGES_MAX}"
        if placed.fault:
            return f"the node says: {printable(placed.fault)}"
        if placed.kept_s is not None:
            return "the node says that it shows it"
        return BEING_TOLD if self._nodes.is_connected(node) else "the node is not connected"


async def _check(target: _Target, check: Check) -> CheckResult:
    """Ask a node at each of its addresses. One that does not answer is ignored if another does."""
    if not target.addresses:
        return CheckResult("nobody", "no address of it is known")
    proof = target.proof
    results = [await check(address, proof.name, proof.token, proof.response) for address in target.addresses]
    wrong = [each for each in results if each.kind == "wrong"]
    if not wrong and any(each.kind == "right" for each in results):
        return CheckResult("right")
    told = wrong or results
    return CheckResult(told[0].kind, "; ".join(each.message for each in told if each.message))


def _nobody(name: str) -> str:
    return f"no node serves {name}: no node has this name or a certificate for it"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
