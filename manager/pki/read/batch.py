"""Sort a batch of files into TLS certificates, with their keys, chains and parameters, and trusted CAs.

Decides by the files' content, not by their names (the specification's "Uploading multiple TLS certificate
files"). CA certificates in the same file as a leaf, and in its chain, stay with that leaf. All others become
trusted CAs, except those that an unreadable private key may belong to. These are left out, because a server's
own certificate must not become an anchor of every node. Invariant: everything in the batch is sorted and
returned, or every finding is raised and nothing is returned. If only the usable part is requested, everything
is returned or in a finding. Opening keys may take seconds each: run it where it can be killed.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from common.errors import PkiError, Reason
from common.pki.certificate import Certificate
from common.pki.pem import Block, at
from manager.pki.chain.chain import ancestors, serving_chain
from manager.pki.judge.identity import clashes, key_of
from manager.pki.read.contents import Contents, FileContent
from manager.pki.read.findings import raise_findings
from manager.pki.read.keys import PrivateKey, private_key_pem
from manager.pki.read.material import TlsMaterial
from manager.pki.read.parameters import combine
from manager.pki.read.pbes import deriving_once
from manager.pki.read.upload import NAMED_MAX

MAX_FILES = 200
MAX_BATCH_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImportFile:
    """One uploaded file. May hold private keys."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CertificateBatch:
    """Content of a batch, in the order of the files; each certificate once.

    Attributes:
        tls: certificates with their keys.
        trusted_cas: CA certificates that came without a leaf.
        without_key: certificates whose key is already stored; `private_key_pem` is "".
        left_out: findings about skipped content: archive members that obviously hold neither a certificate
            nor a key and, if only the usable part was requested, everything else that is unusable.
    """

    tls: tuple[TlsMaterial, ...]
    trusted_cas: tuple[Certificate, ...]
    without_key: tuple[TlsMaterial, ...] = ()
    left_out: tuple[PkiError, ...] = ()


def read_batch(
    files: Sequence[ImportFile],
    *,
    passphrase: str | None = None,
    stored_keys: Collection[str] = frozenset(),
    trusted_keys: Collection[str] = frozenset(),
    skip_unusable: bool = False,
    peers: bool = False,
) -> CertificateBatch:
    """Read all files; the passphrase is tried on every encrypted key and PKCS#12 file.

    A certificate without its key counts as a TLS certificate if the key is one of the `stored_keys`
    (`identity.key_of`), so that a server's own never becomes a trusted CA. A CA does so only if it is in no
    other certificate's chain and its key is not one of the `trusted_keys`, those of CAs that are trusted
    already. With `skip_unusable`, unusable content is left out and named; a batch without any usable content
    is still an error. `peers` says that the files were uploaded to be trusted: then CAs are, whatever keys
    are stored, and so are self-signed certificates that are not CAs, if the batch has no key; with one,
    theirs may merely be missing. Raises PkiFindingsError with every finding, each with its file, block and
    line.
    """
    reader = Contents(passphrase)
    raise_findings(_size_findings(files))
    # many keys in a file that are sealed in the same way cost as much as one
    with deriving_once():
        for one in files:
            reader.read(one.name, one.data)
    if not skip_unusable:
        # unreadable content would only lead to misleading findings about what is missing
        raise_findings(reader.findings)
    own = frozenset(stored_keys)
    own_cas = frozenset() if peers else own - frozenset(trusted_keys)
    sorter = _Sorter(reader, own, own_cas, peers=peers)
    batch = sorter.sort()
    findings = (*reader.findings, *sorter.findings)
    if not skip_unusable or not (batch.tls or batch.trusted_cas or batch.without_key):
        raise_findings(findings)
    return replace(batch, left_out=(*findings, *reader.left_out))


def _size_findings(files: Sequence[ImportFile]) -> list[PkiError]:
    if not files:
        return [PkiError("there is no file to import", reason=Reason.INVALID)]
    if len(files) > MAX_FILES:
        return [PkiError(f"there are more than {MAX_FILES} files", reason=Reason.TOO_BIG)]
    if sum(len(one.data) for one in files) > MAX_BATCH_BYTES:
        return [PkiError(f"the files have more than {MAX_BATCH_BYTES} bytes together", reason=Reason.TOO_BIG)]
    return []


class _Sorter:
    """Sorts everything that was read."""

    def __init__(
        self, read: Contents, stored_keys: frozenset[str], stored_ca_keys: frozenset[str], *, peers: bool
    ) -> None:
        self.findings: list[PkiError] = []
        self._unread = read.unread
        self._unplaced: list[tuple[Certificate, Block]] = []
        self._files = files = read.files
        self._stored_keys, self._stored_ca_keys = stored_keys, stored_ca_keys
        self._keys = {key.public_key_id: key for one in files for key, _ in one.keys}
        self._takes_peers = peers and not self._keys
        self._leaves: dict[Certificate, PrivateKey | None] = {
            certificate: self._keys.get(certificate.public_key_id or "")
            for one in files
            for certificate in one.certificates
            if certificate.public_key_id in self._keys or self._is_stored(certificate)
        }

    def sort(self) -> CertificateBatch:
        above: dict[Certificate, dict[Certificate, None]] = {}
        for one in self._files:
            self._sort_file(one, above)
        trusted = self._place_authorities()
        self._name_unpaired_keys()
        # two leaves with one serial number would replace each other; two CAs only if they share the key
        clashing = {
            *self._name_clashes(clashes(self._leaves)),
            *self._name_clashes(clashes(trusted, with_key=True)),
        }
        parameters = self._place_parameters()
        made = [
            self._material(leaf, tuple(above[leaf]), parameters.get(leaf, ()))
            for leaf in self._leaves
            if leaf not in clashing
        ]
        return CertificateBatch(
            tls=tuple(one for one in made if one.private_key_pem),
            trusted_cas=tuple(one for one in trusted if one not in clashing),
            without_key=tuple(one for one in made if not one.private_key_pem),
        )

    def _is_stored(self, certificate: Certificate) -> bool:
        return not certificate.is_ca and key_of(certificate) in self._stored_keys

    def _is_own_ca(self, certificate: Certificate) -> bool:
        return certificate.is_ca and key_of(certificate) in self._stored_ca_keys

    def _sort_file(self, one: FileContent, above: dict[Certificate, dict[Certificate, None]]) -> None:
        """Keep each leaf's own CAs with it; the other certificates of the file remain unsorted."""
        cas = [found for found in one.certificates if found.is_ca]
        used: set[Certificate] = set()
        # a certificate that completes another one's chain came for that one
        for leaf in sorted(one.certificates, key=lambda each: each not in self._leaves):
            if leaf not in self._leaves and leaf not in used and self._is_own_ca(leaf):
                self._leaves[leaf] = None
            if leaf in self._leaves:
                own = ancestors(leaf, [each for each in cas if each != leaf])
                above.setdefault(leaf, {}).update(dict.fromkeys(own))
                used.update(own)
        self._unplaced += [
            (found, block)
            for found, block in one.certificates.items()
            if found not in self._leaves and found not in used
        ]

    def _place_authorities(self) -> list[Certificate]:
        """Return the CAs without a leaf, and report certificates that are neither CAs nor have a key."""
        in_doubt = self._unread.owners(self._unplaced)
        trusted: dict[Certificate, None] = {}
        for certificate, block in self._unplaced:
            if not (certificate.may_be_trusted if self._takes_peers else certificate.is_ca):
                problem = "has no private key in this batch"
                if certificate.is_self_signed:
                    problem += (
                        ", and is not a CA: if it is to be trusted as itself, add it to the trusted CAs"
                    )
            elif certificate in in_doubt:
                problem = "does not become a trusted CA: one of the private keys that could not be read may be its own"
            else:
                trusted[certificate] = None
                continue
            self.findings.append(at(block, f"'{certificate.label}' {problem}", Reason.KEY_MISMATCH))
        return list(trusted)

    def _name_clashes(self, groups: Sequence[Sequence[Certificate]]) -> Iterator[Certificate]:
        """Report certificates that would replace each other, and yield them."""
        places: dict[Certificate, Block] = {}
        for one in self._files:
            for certificate, block in one.certificates.items():
                places.setdefault(certificate, block)
        for group in groups:
            named = ", ".join(
                f"'{each.label}' in {places[each].file} (fingerprint {each.fingerprint[:16]})"
                for each in group[:NAMED_MAX]
            )
            more = f" and {len(group) - NAMED_MAX} more" if len(group) > NAMED_MAX else ""
            self.findings.append(
                at(
                    places[group[1]],
                    f"{len(group)} certificates have one issuer and serial number ({group[0].serial_no}), so that each would "
                    f"take the place of another: {named}{more}; import the one that you want",
                    Reason.CONFLICT,
                )
            )
            yield from group

    def _name_unpaired_keys(self) -> None:
        paired = {leaf.public_key_id for leaf in self._leaves}
        for one in self._files:
            for key, block in one.keys:
                if key.public_key_id not in paired:
                    self.findings.append(
                        at(
                            block,
                            "the private key pairs with no certificate of the batch",
                            Reason.KEY_MISMATCH,
                        )
                    )

    def _place_parameters(self) -> dict[Certificate, list[tuple[str, Block]]]:
        placed: dict[Certificate, list[tuple[str, Block]]] = {}
        for one in self._files:
            for pem, block in one.parameters:
                owner = self._owner(one, block)
                if owner is None:
                    self.findings.append(
                        at(block, "the parameters do not belong to any of the certificates", Reason.INVALID)
                    )
                else:
                    placed.setdefault(owner, []).append((pem, block))
        return placed

    def _owner(self, one: FileContent, block: Block) -> Certificate | None:
        """Return the leaf that precedes parameters, else one that follows, or whose key is beside them."""
        own = [(place.number, leaf) for leaf, place in one.certificates.items() if leaf in self._leaves]
        before = [leaf for number, leaf in own if number < block.number]
        if before:
            return before[-1]
        beside = {key.public_key_id for key, _ in one.keys}
        candidates = [
            *(leaf for _, leaf in own),
            *(leaf for leaf in self._leaves if leaf.public_key_id in beside),
        ]
        if candidates:
            return candidates[0]
        return next(iter(self._leaves)) if len(self._leaves) == 1 else None

    def _material(
        self, leaf: Certificate, above: tuple[Certificate, ...], parameters: Iterable[tuple[str, Block]]
    ) -> TlsMaterial:
        pem, conflicts = combine(parameters)
        self.findings.extend(conflicts)
        # it may have stood in several files with different chains: one of them is served
        chain = serving_chain(leaf, above)
        key = self._leaves[leaf]
        return TlsMaterial(
            leaf=leaf,
            chain=chain,
            extras=tuple(found for found in above if found not in chain),
            private_key_pem=private_key_pem(key) if key is not None else "",
            parameters_pem=pem,
            certificate_text=leaf.pem + "".join(found.pem for found in above) + pem,
        )
