"""Which certificates a server must send along with its leaf.

Decides by search with backtracking, because a greedy walk is wrong for a third of realistic cases (cross-signed roots, a
renewed intermediate of the same name). Whether the result is trusted is asked elsewhere.
Invariant: every link's signature verifies, no certificate occurs twice, and the work is bounded whatever is fed in.
"""

from collections.abc import Iterable, Iterator

from common.pki.certificate import Certificate, load
from common.pki.signature import is_signed_by

MAX_CHAIN = 8
"""Certificates from leaf to root; public chains have 2 to 4, and OpenSSL's own limits are larger."""

MAX_EDGES = 200
"""Signatures verified in one search; enough for every realistic tangle of cross-signing."""


def serving_chain(leaf: Certificate, pool: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """Return the intermediates above `leaf`, its issuer first, without the self-signed root.

    Of the paths that the pool allows, the first that ends at a self-signed root in the pool is taken, else the longest.
    """
    if leaf.is_self_signed:
        return ()
    search = _Search(pool)
    best: tuple[Certificate, ...] = ()
    for path, complete in search.paths((leaf,)):
        if complete:
            return path[1:]
        if len(path) - 1 > len(best):
            best = path[1:]
    return best


class _Search:
    """Walks upward from a leaf; verified edges are remembered, and their number is bounded."""

    def __init__(self, pool: Iterable[Certificate]) -> None:
        self._by_subject: dict[bytes, list[Certificate]] = {}
        for certificate in dict.fromkeys(pool):
            self._by_subject.setdefault(certificate.subject_id, []).append(certificate)
        self._edges: dict[tuple[Certificate, Certificate], bool] = {}

    def paths(self, path: tuple[Certificate, ...]) -> Iterator[tuple[tuple[Certificate, ...], bool]]:
        """Yield every path that cannot be continued, and whether it ends just below a root of the pool."""
        last = path[-1]
        extended = False
        for issuer in self._issuers(last):
            if issuer in path or not self._signed(last, issuer):
                continue
            extended = True
            if issuer.is_self_signed:
                yield path, True
            elif len(path) < MAX_CHAIN - 1:
                yield from self.paths((*path, issuer))
            else:
                yield path, False
        if not extended:
            yield path, False

    def _issuers(self, certificate: Certificate) -> list[Certificate]:
        """Return who may have signed it, likeliest first: the named key, a root before a cross-sign, the newest."""
        found = [issuer for issuer in self._by_subject.get(certificate.issuer_id, ()) if issuer.is_ca]
        wanted = certificate.issuer_key_id
        found.sort(
            key=lambda issuer: (
                wanted is None or issuer.key_id != wanted,
                not issuer.is_self_signed,
                -issuer.not_after_s,
                issuer.fingerprint,
            )
        )
        return found

    def _signed(self, certificate: Certificate, issuer: Certificate) -> bool:
        edge = (certificate, issuer)
        if edge not in self._edges:
            if len(self._edges) >= MAX_EDGES:
                return False
            self._edges[edge] = is_signed_by(load(certificate.der), load(issuer.der))
        return self._edges[edge]
