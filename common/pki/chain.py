"""The chain of trust of a leaf: which certificates make it, how good it is, what is missing, what to serve.

Decides by a bounded search with backtracking over what was uploaded, stored intermediates and the trust store. Whether a
strict client would accept it now is the second answer, in `strict`.
Invariant: the answer stays the same until `stands_until_s` unless the certificates change; so it can be kept.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from common.pki.certificate import Certificate
from common.pki.constraints import Comparisons
from common.pki.path import Problem, problems_of
from common.pki.search import DEFAULT_LIMITS, End, Issuers, Path, Search, Source, WorkLimits


class ChainState(StrEnum):
    """How good the best chain is; in the order in which one is preferred to another."""

    COMPLETE = "complete"
    WEAK = "weak"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    INVALID = "invalid"
    UNTRUSTED = "untrusted"
    INCOMPLETE = "incomplete"
    SELF_SIGNED = "self_signed"


_PREFERENCE = {state: place for place, state in enumerate(ChainState)}
_FOREVER_S = 2**63 - 1

_STATES = (
    (ChainState.EXPIRED, frozenset({Problem.EXPIRED})),
    (ChainState.NOT_YET_VALID, frozenset({Problem.NOT_YET_VALID})),
    (ChainState.WEAK, frozenset({Problem.WEAK_SIGNATURE, Problem.WEAK_KEY})),
)
_MILD = frozenset[Problem]().union(*(problems for _, problems in _STATES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One certificate of a chain, where it came from, and what is wrong with it."""

    certificate: Certificate
    source: Source
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The best chain that was found.

    Attributes:
        state: how good it is.
        links: leaf first; the root last, where it is known.
        missing_issuer: for INCOMPLETE, the name that was looked for (RFC 4514).
        serving: what a server sends after its leaf: no self-signed root.
        stands_until_s: the first second at which this answer may be another.
        exhausted: a work limit was met, so a better chain may exist.
        looked_for: the canonical names of all issuers that were looked for; a CA of another name cannot change the chain.
    """

    state: ChainState
    links: tuple[Link, ...]
    missing_issuer: str
    serving: tuple[Certificate, ...]
    stands_until_s: int
    exhausted: bool
    looked_for: frozenset[bytes]

    @property
    def reaches_root(self) -> bool:
        """Whether a trusted root was reached, however good the way there is."""
        return self.state not in {ChainState.INCOMPLETE, ChainState.UNTRUSTED, ChainState.SELF_SIGNED}

    @property
    def explanation(self) -> str:
        """One sentence for people."""
        match self.state:
            case ChainState.COMPLETE:
                return "The chain of trust is complete."
            case ChainState.SELF_SIGNED:
                return "The certificate is self-signed; clients will not trust it."
            case ChainState.INCOMPLETE:
                return f"The chain of trust is incomplete: issuer {self.missing_issuer or '(no name)'} not found."
            case ChainState.UNTRUSTED:
                return f"The chain ends at {self.links[-1].certificate.label}, which is not a trusted CA."
            case _:
                wrong = "; ".join(
                    f"{link.certificate.label}: {', '.join(link.problems).replace('_', ' ')}"
                    for link in self.links
                    if link.problems
                )
                return f"The chain of trust is complete, but not good: {wrong}."


def build_chain(
    leaf: Certificate,
    issuers: Issuers,
    *,
    uploaded: Iterable[Certificate] = (),
    now_s: int,
    limits: WorkLimits = DEFAULT_LIMITS,
) -> Chain:
    """Find the best chain for `leaf`. `issuers` is made once for many leaves; `uploaded` came with this one."""
    search = Search(issuers, uploaded, limits)
    comparisons = Comparisons(limits.comparisons)
    best: tuple[tuple[int, int], Path, ChainState, tuple[tuple[Problem, ...], ...]] | None = None
    for path in search.paths(leaf):
        problems = problems_of(path.certificates, now_s=now_s, comparisons=comparisons)
        state = _state(path, problems)
        # the longest incomplete chain says best what is missing; of others the shortest is the one to serve
        length = len(path.certificates)
        rank = (_PREFERENCE[state], -length if state is ChainState.INCOMPLETE else length)
        if best is None or rank < best[0]:
            best = (rank, path, state, problems)
        if state is ChainState.COMPLETE:
            break
    if best is None:
        raise AssertionError("a search yields at least one path")
    _, path, state, problems = best
    return Chain(
        state=state,
        links=tuple(
            Link(
                certificate=certificate,
                source=issuers.source_of(certificate) if place else Source.LEAF,
                problems=found,
            )
            for place, (certificate, found) in enumerate(zip(path.certificates, problems, strict=True))
        ),
        missing_issuer=path.certificates[-1].raw_issuer if state is ChainState.INCOMPLETE else "",
        serving=_without_root(path),
        stands_until_s=_next_change_s(search.seen, now_s),
        exhausted=search.exhausted,
        looked_for=frozenset(one.issuer_id for one in search.seen),
    )


def serving_chain(leaf: Certificate, pool: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """Return the intermediates above `leaf`, its issuer first, without the self-signed root; asks for no clock.

    Of the paths that the pool allows, the first that ends at a self-signed root in the pool is taken, else the longest.
    """
    return tuple(one for one in ancestors(leaf, pool) if not one.is_self_signed)


def ancestors(leaf: Certificate, pool: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """Return the CAs above `leaf` as `serving_chain` does, with the root if the pool has it."""
    best: tuple[Certificate, ...] = ()
    for path in Search(Issuers(), (one for one in pool if one.is_ca)).paths(leaf):
        found = path.certificates[1:]
        if path.end is End.UNTRUSTED:
            return found
        if len(found) > len(best):
            best = found
    return best


def _state(path: Path, problems: tuple[tuple[Problem, ...], ...]) -> ChainState:
    if path.end is End.UNTRUSTED:
        return ChainState.SELF_SIGNED if len(path.certificates) == 1 else ChainState.UNTRUSTED
    if path.end is not End.TRUSTED:
        return ChainState.INCOMPLETE
    found = {problem for link in problems for problem in link}
    if found - _MILD:
        return ChainState.INVALID
    return next((state for state, kinds in _STATES if found & kinds), ChainState.COMPLETE)


def _without_root(path: Path) -> tuple[Certificate, ...]:
    return tuple(one for one in path.certificates[1:] if not one.is_self_signed)


def _next_change_s(seen: Iterable[Certificate], now_s: int) -> int:
    moments = (moment for one in seen for moment in (one.not_before_s, one.not_after_s + 1) if moment > now_s)
    return min(moments, default=_FOREVER_S)
