"""Chain of trust of a leaf: its certificates, how good it is, what is missing, and what to serve.

Decides by a bounded backtracking search over uploaded certificates, stored intermediates and the trust store.
`strict` answers separately whether a strict client would accept the chain now.
Invariant: the answer holds until `recheck_at_s` unless the certificates change, so it may be cached.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from common.codes import ChainState
from common.pki.certificate import Certificate, is_signed_by
from common.pki.constraints import Comparisons
from common.pki.path import LinkProblem, Purpose, is_usable, problems_of
from manager.pki.chain.search import DEFAULT_LIMITS, End, Issuers, Path, Search, Source, WorkLimits

_ROOTLESS = frozenset(
    {ChainState.INCOMPLETE, ChainState.UNTRUSTED, ChainState.UNDETERMINED, ChainState.SELF_SIGNED}
)
_PREFERENCE = {state: place for place, state in enumerate(ChainState)}
_FOREVER_S = 2**63 - 1

MAX_SERVED = 8
"""Certificates after the leaf, as many as a path may have."""

CROWD = 10
"""From this many CA certificates of one name on, the message about a met limit mentions them."""

_STATES = (
    (ChainState.EXPIRED, frozenset({LinkProblem.EXPIRED})),
    (ChainState.NOT_YET_VALID, frozenset({LinkProblem.NOT_YET_VALID})),
    (ChainState.WEAK, frozenset({LinkProblem.WEAK_SIGNATURE, LinkProblem.WEAK_KEY})),
)
_MILD = frozenset[LinkProblem]().union(*(problems for _, problems in _STATES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One certificate of a chain, its source, and its problems."""

    certificate: Certificate
    source: Source
    problems: tuple[LinkProblem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The best chain that was found.

    Attributes:
        state: how good it is.
        links: leaf first; the root last, if it is known.
        missing_issuer: for INCOMPLETE, the name of the issuer that was not found (RFC 4514).
        serving: what a server sends after its leaf. It omits a self-signed root, but includes certificates
            that came with the leaf for clients that know only another root (a cross-signed certificate of the
            root), unless these are wrong.
        recheck_at_s: the first second at which the answer may change.
        exhausted: a work limit was met, so a better chain may exist; `crowd` is the issuer's name with the
            most candidates, and their number.
        has_namesake: a known CA has the name of the missing issuer, or of the untrusted root, but another
            key. Without a hint, people would take them for the same.
        looked_for: the canonical names of all issuers that were searched; a CA of another name cannot change
            the chain.
    """

    state: ChainState
    links: tuple[Link, ...]
    missing_issuer: str
    serving: tuple[Certificate, ...]
    recheck_at_s: int
    exhausted: bool
    crowd: tuple[str, int]
    looked_for: frozenset[bytes]
    has_namesake: bool = False

    @property
    def reaches_root(self) -> bool:
        """Whether the chain reaches a trusted root, with or without problems on the way."""
        return self.state not in _ROOTLESS

    @property
    def explanation(self) -> str:
        """One or two sentences for people."""
        more = " The search met its limit, so a better chain may exist." if self.exhausted else ""
        match self.state:
            case ChainState.COMPLETE:
                return "The chain of trust is complete."
            case ChainState.SELF_SIGNED:
                return "The certificate is self-signed; clients will not trust it."
            case ChainState.INCOMPLETE:
                same = " A CA of that name is known, but it has another key." if self.has_namesake else ""
                return f"The chain of trust is incomplete: issuer {self.missing_issuer or '(no name)'} not found.{same}"
            case ChainState.UNDETERMINED:
                name, count = self.crowd
                crowd = (
                    f" ({count} CA certificates are named {name or '(no name)'})" if count >= CROWD else ""
                )
                return f"The chain of trust could not be determined: the search met its limit{crowd}."
            case ChainState.UNTRUSTED:
                same = " A trusted CA has the same name, but another key." if self.has_namesake else ""
                root = self.links[-1].certificate.label
                return f"The chain ends at {root}, which is not a trusted CA.{same}{more}"
            case _:
                wrong = "; ".join(
                    f"{link.certificate.label}: {', '.join(PROBLEM_WORDS[each] for each in link.problems)}"
                    for link in self.links
                    if link.problems
                )
                return f"The chain of trust leads to a trusted root, but clients refuse it: {wrong}.{more}"


PROBLEM_WORDS: Mapping[LinkProblem, str] = MappingProxyType(
    {
        LinkProblem.EXPIRED: "expired",
        LinkProblem.NOT_YET_VALID: "not valid yet",
        LinkProblem.WEAK_SIGNATURE: "weak signature",
        LinkProblem.WEAK_KEY: "weak key",
        LinkProblem.NOT_A_CA: "not a CA certificate",
        LinkProblem.KEY_USAGE: "its key usage does not allow it to sign certificates",
        LinkProblem.PURPOSE: "its extended key usage does not allow this use",
        LinkProblem.EXPLICIT_CURVE: "its public key spells out the curve's parameters instead of naming the curve",
        LinkProblem.PATH_LENGTH: "more intermediates follow than its path length allows",
        LinkProblem.NAME_CONSTRAINTS: "a name is outside what a CA above may sign for",
        LinkProblem.POLICY: "a CA above demands a certificate policy that it does not have",
        LinkProblem.CRITICAL_EXTENSION: "a critical extension that clients do not know",
        LinkProblem.UNDECODABLE: "a part of it is not encoded as clients demand",
        LinkProblem.OTHER_ISSUER: "its authority key identifier means another certificate than the one above it, so OpenSSL refuses it",
    }
)
"""Each problem in words that complete a certificate's name and a colon."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    rank: tuple[int, int]
    path: Path
    state: ChainState
    problems: tuple[tuple[LinkProblem, ...], ...]


def build_chain(
    leaf: Certificate,
    issuers: Issuers,
    *,
    uploaded: Iterable[Certificate] = (),
    now_s: int,
    purpose: Purpose = Purpose.SERVER,
    limits: WorkLimits = DEFAULT_LIMITS,
) -> Chain:
    """Find the best chain for `leaf`.

    `issuers` is made once for many leaves; `uploaded` came with this one.
    """
    came_along = tuple(uploaded)
    search = Search(issuers, came_along, limits, purpose)
    best = _best(search, leaf, now_s=now_s, purpose=purpose, limits=limits)
    state, path = best.state, best.path
    if state is ChainState.INCOMPLETE and search.exhausted:
        state = ChainState.UNDETERMINED
    serving = _served(path, came_along, lambda one: is_usable(one, now_s=now_s, purpose=purpose))
    return Chain(
        state=state,
        links=tuple(
            Link(
                certificate=certificate,
                source=issuers.source_of(certificate) if place else Source.LEAF,
                problems=found,
            )
            for place, (certificate, found) in enumerate(zip(path.certificates, best.problems, strict=True))
        ),
        missing_issuer=path.certificates[-1].raw_issuer if state is ChainState.INCOMPLETE else "",
        serving=serving,
        recheck_at_s=_next_change_s({*search.seen, *came_along}, now_s),
        exhausted=search.exhausted,
        crowd=search.crowd,
        looked_for=frozenset(one.issuer_id for one in search.seen),
        has_namesake=_has_namesake(state, path.certificates[-1], issuers, came_along),
    )


def _has_namesake(
    state: ChainState, top: Certificate, issuers: Issuers, came_along: Sequence[Certificate]
) -> bool:
    match state:
        case ChainState.INCOMPLETE:
            # whoever has this name did not sign it, or the chain would go on
            known = (*issuers.named(top.issuer_id), *(one for one in came_along if one.is_ca))
            return any(one.subject_id == top.issuer_id for one in known)
        case ChainState.UNTRUSTED:
            same = (one for one in issuers.named(top.subject_id) if issuers.is_root(one))
            return any(one.public_key_id != top.public_key_id for one in same)
        case _:
            return False


def _best(
    search: Search, leaf: Certificate, *, now_s: int, purpose: Purpose, limits: WorkLimits
) -> _Candidate:
    comparisons = Comparisons(limits.comparisons)
    best: _Candidate | None = None
    for path in search.paths(leaf):
        problems = problems_of(path.certificates, now_s=now_s, comparisons=comparisons, purpose=purpose)
        state = _state(path, problems)
        # the longest incomplete chain says best what is missing; of others the shortest is the one to serve
        length = len(path.certificates)
        rank = (_PREFERENCE[state], -length if state is ChainState.INCOMPLETE else length)
        if best is None or rank < best.rank:
            best = _Candidate(rank, path, state, problems)
        if state is ChainState.COMPLETE:
            break
    if best is None:
        raise AssertionError("a search yields at least one path")
    return best


def serving_chain(leaf: Certificate, pool: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """Return the intermediates above `leaf`, its issuer first, without the self-signed root.

    Asks for no clock.

    Of the paths that the pool allows, the first that ends at a self-signed root in the pool is taken, else
    the longest; a root's cross-signed certificates follow for clients that know only their signers.
    """
    return tuple(one for one in ancestors(leaf, pool) if not one.is_self_signed)


def ancestors(leaf: Certificate, pool: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """Return the CAs above `leaf` as `serving_chain` does, with the root if the pool has it."""
    cas = tuple(one for one in pool if one.is_ca)
    best = Path((leaf,), End.OPEN)
    for path in Search(Issuers(), cas).paths(leaf):
        if path.end is End.UNTRUSTED:
            best = path
            break
        if len(path.certificates) > len(best.certificates):
            best = path
    roots = tuple(one for one in best.certificates[1:] if one.is_self_signed)
    return (*_served(best, cas, lambda one: one.is_ca), *roots)


def _state(path: Path, problems: tuple[tuple[LinkProblem, ...], ...]) -> ChainState:
    if path.end is End.UNTRUSTED:
        return ChainState.SELF_SIGNED if len(path.certificates) == 1 else ChainState.UNTRUSTED
    if path.end is not End.TRUSTED:
        return ChainState.INCOMPLETE
    found = {problem for link in problems for problem in link}
    if found - _MILD:
        return ChainState.INVALID
    return next((state for state, kinds in _STATES if found & kinds), ChainState.COMPLETE)


def _served(
    path: Path, came_along: Sequence[Certificate], is_good: Callable[[Certificate], bool]
) -> tuple[Certificate, ...]:
    """Return what a server sends.

    The path without its root, and then what came along to certify that root's name and key.
    """
    served = [one for one in path.certificates[1:] if not one.is_self_signed]
    top = path.certificates[-1]
    if len(path.certificates) == 1 or not top.is_self_signed:
        return tuple(served)
    while len(served) < MAX_SERVED:
        following = next(
            (one for one in came_along if one not in served and is_good(one) and _follows(one, top)), None
        )
        if following is None:
            break
        if not following.is_self_signed:
            served.append(following)
        top = following
    return tuple(served)


def _follows(certificate: Certificate, top: Certificate) -> bool:
    """Whether a certificate leads further up.

    It certifies a root's name and key, or signed what is not a root.
    """
    if top.is_self_signed:
        same = (certificate.subject_id, certificate.public_key_id) == (top.subject_id, top.public_key_id)
        return same and not certificate.is_self_signed
    return certificate.subject_id == top.issuer_id and is_signed_by(top, certificate)


def _next_change_s(seen: Iterable[Certificate], now_s: int) -> int:
    begins = (one.not_before_s for one in seen if one.not_before_s is not None)
    ends = (one.not_after_s + 1 for one in seen if one.not_after_s is not None)
    return min((moment for moment in (*begins, *ends) if moment > now_s), default=_FOREVER_S)
