"""Search upward from a leaf through every certificate that may have issued it.

Decides which paths exist: by name, key identifier and signature. `path` decides what a path is worth. It
continues after a dead end, because a greedy walk is wrong for a third of realistic cases (cross-signed roots,
a renewed intermediate of the same name). Invariant: every link's signature verifies, no name occurs twice
with the same key, and `WorkLimits` bounds the work for any input: 14 mutually cross-signed CAs have 100
million paths.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from common.pki.certificate import Certificate, is_signed_by
from common.pki.expiry import as_number
from common.pki.path import Purpose, allows


class Source(StrEnum):
    """Where a chain's certificate came from."""

    LEAF = "leaf"
    UPLOADED = "uploaded"
    INTERMEDIATE = "intermediate"
    TRUSTED = "trusted"


class End(StrEnum):
    """Why a path ends: at a trusted root, at an untrusted root, without an issuer, or at a limit."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"
    OPEN = "open"
    CUT = "cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLimits:
    """Limits of one search.

    Attributes:
        certificates: the longest path, leaf and root included; public chains have 3 to 5.
        edges: signatures verified; enough for every realistic set of cross-signed CAs.
        steps: moves along verified edges, which are cheap but combine without end.
        comparisons: names compared with name constraints, about 1 microsecond each.
    """

    certificates: int = 8
    edges: int = 200
    steps: int = 2_000
    comparisons: int = 100_000


DEFAULT_LIMITS = WorkLimits()


@dataclass(frozen=True, slots=True)
class Path:
    """Certificates from the leaf upward, each signed by the next, and why the path ends."""

    certificates: tuple[Certificate, ...]
    end: End


class Issuers:
    """CA certificates by name, shared by many searches.

    Self-signed certificates among `trusted` are roots; the others there serve as intermediates. A signature
    between two of these certificates is verified once.
    """

    def __init__(
        self, *, trusted: Iterable[Certificate] = (), intermediates: Iterable[Certificate] = ()
    ) -> None:
        self._sources: dict[Certificate, Source] = {}
        self._by_subject: dict[bytes, list[Certificate]] = {}
        self._signed: dict[tuple[Certificate, Certificate], bool] = {}
        for source, certificates in ((Source.TRUSTED, trusted), (Source.INTERMEDIATE, intermediates)):
            for certificate in certificates:
                if certificate not in self._sources:
                    self._sources[certificate] = source
                    self._by_subject.setdefault(certificate.subject_id, []).append(certificate)

    def named(self, subject_id: bytes) -> list[Certificate]:
        """Return the CAs of this name."""
        return self._by_subject.get(subject_id, [])

    def source_of(self, certificate: Certificate) -> Source:
        """Return a certificate's source; one that is not in here was uploaded."""
        return self._sources.get(certificate, Source.UPLOADED)

    def is_root(self, certificate: Certificate) -> bool:
        """Whether a chain may end at this certificate."""
        return certificate.is_self_signed and self.source_of(certificate) is Source.TRUSTED

    def known_edge(self, certificate: Certificate, issuer: Certificate) -> bool | None:
        """Return the result of an earlier verification of a signature."""
        return self._signed.get((certificate, issuer))

    def keep_edge(self, certificate: Certificate, issuer: Certificate, *, signed: bool) -> None:
        """Remember a signature between CAs in here; results for leaves are not kept."""
        if certificate in self._sources and issuer in self._sources:
            self._signed[certificate, issuer] = signed


class Search:
    """One search. `exhausted` says afterwards that a limit was met, so more paths may exist.

    `crowd` is the issuer's name (RFC 4514) with the most candidates, and their number.
    """

    def __init__(
        self,
        issuers: Issuers,
        uploaded: Iterable[Certificate] = (),
        limits: WorkLimits = DEFAULT_LIMITS,
        purpose: Purpose = Purpose.SERVER,
    ) -> None:
        self.exhausted = False
        self.seen: set[Certificate] = set()
        self._issuers = issuers
        self._limits = limits
        self._edges_left = limits.edges
        self._steps_left = limits.steps
        self._uploaded: dict[bytes, list[Certificate]] = {}
        self._ordered: dict[tuple[bytes, str | None], list[Certificate]] = {}
        self._edges: dict[tuple[Certificate, str], bool] = {}
        self._purpose = purpose
        self.crowd: tuple[str, int] = ("", 0)
        for certificate in dict.fromkeys(uploaded):
            self._uploaded.setdefault(certificate.subject_id, []).append(certificate)

    def paths(self, leaf: Certificate) -> Iterator[Path]:
        """Yield paths, the likeliest first; at least one."""
        self.seen.add(leaf)
        if leaf.is_self_signed:
            yield Path((leaf,), End.TRUSTED if self._issuers.is_root(leaf) else End.UNTRUSTED)
            return
        yield from self._walk((leaf,))

    def _walk(self, path: tuple[Certificate, ...]) -> Iterator[Path]:
        if len(path) >= self._limits.certificates:
            self.exhausted = True
            yield Path(path, End.CUT)
            return
        went_on = False
        for issuer in self._candidates(path[-1]):
            if self._steps_left <= 0:
                self.exhausted = True
                break
            self._steps_left -= 1
            if _repeats(path, issuer) or not self._is_signed(path[-1], issuer):
                continue
            went_on = True
            self.seen.add(issuer)
            longer = (*path, issuer)
            if issuer.is_self_signed:
                yield Path(longer, End.TRUSTED if self._issuers.is_root(issuer) else End.UNTRUSTED)
            else:
                yield from self._walk(longer)
        if not went_on:
            yield Path(path, End.OPEN)

    def _candidates(self, certificate: Certificate) -> list[Certificate]:
        """Return the candidates with the issuer's name, the likeliest first.

        Preferred are the named key, a CA, the purpose, a trusted root, what came with the leaf, and the
        newest.
        """
        wanted = certificate.issuer_key_id
        place = (certificate.issuer_id, wanted)
        if place not in self._ordered:
            found = [
                *self._issuers.named(certificate.issuer_id),
                *self._uploaded.get(certificate.issuer_id, ()),
            ]
            if len(found) > self.crowd[1]:
                self.crowd = (certificate.raw_issuer, len(found))
            came_along = set(self._uploaded.get(certificate.issuer_id, ()))
            self._ordered[place] = sorted(
                dict.fromkeys(found),
                key=lambda issuer: (
                    wanted is None or issuer.key_id != wanted,
                    not issuer.is_ca,
                    not allows(issuer, self._purpose),
                    not self._issuers.is_root(issuer),
                    not issuer.is_self_signed,
                    issuer not in came_along,
                    issuer.not_after_s is None,
                    -as_number(issuer.not_after_s),
                    issuer.fingerprint,
                ),
            )
        return self._ordered[place]

    def _is_signed(self, certificate: Certificate, issuer: Certificate) -> bool:
        known = self._issuers.known_edge(certificate, issuer)
        if known is not None:
            return known
        # of a thousand look-alikes with the same key, only one signature is verified
        edge = (certificate, issuer.public_key_id or issuer.fingerprint)
        if edge not in self._edges:
            if self._edges_left <= 0:
                self.exhausted = True
                return False
            self._edges_left -= 1
            self._edges[edge] = is_signed_by(certificate, issuer)
        self._issuers.keep_edge(certificate, issuer, signed=self._edges[edge])
        return self._edges[edge]


def _repeats(path: tuple[Certificate, ...], issuer: Certificate) -> bool:
    """Whether this is a loop: the same name and key again, perhaps in another certificate."""
    return any(
        known.subject_id == issuer.subject_id and known.public_key_id == issuer.public_key_id
        for known in path
    )
