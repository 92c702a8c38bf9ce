"""Uploads and edits: a certificate as a user uploads or changes it, and its destination.

Front ends build them, so that input is parsed once. Decides only what an edit leaves unchanged. Invariant:
`repr` shows neither keys nor passphrases.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from common.bundle.manifest import Slot
from common.ids import NodeName
from manager.domain.annotations import NO_ANNOTATIONS, Annotations
from manager.domain.keeping import CompanionPolicy
from manager.pki.read.material import TlsMaterial
from manager.usecases.material_checks import read_tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Texts of a TLS certificate, and the nodes that get it in a slot.

    `certificate` may contain the key as well.
    """

    certificate: str = field(repr=False)
    private_key: str = field(default="", repr=False)
    passphrase: str | None = field(default=None, repr=False)
    parameters: str = ""
    nodes: Sequence[NodeName] = ()
    slot: Slot = "server"
    annotations: Annotations = NO_ANNOTATIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A private key in PEM, perhaps encrypted."""

    pem: str = field(repr=False)
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Changes to an entry: its certificate, parameters, nodes with their slot, and annotations.

    None keeps a value.

    The private key stays, and the certificate must match it, unless `key` is given, which only the existing
    clients' API allows. `passphrase` opens a PKCS#12 file in `certificate`. A new certificate replaces the
    whole chain. With `completes`, for clients that cannot confirm, stored certificates that its chain needs
    are kept.
    """

    certificate: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    parameters: str | None = None
    key: NewKey | None = None
    nodes: Sequence[NodeName] | None = None
    slot: Slot = "server"
    completes: bool = False
    annotations: Annotations = NO_ANNOTATIONS

    @property
    def changes_content(self) -> bool:
        """Whether the nodes' material of the entry must be read again."""
        return self.certificate is not None or self.parameters is not None or self.key is not None

    def companion_policy(self, text: str) -> CompanionPolicy:
        """Return the policy for the accompanying certificates of an entry with this text."""
        if self.certificate is None or self.certificate == text:
            return CompanionPolicy.KEEP
        return CompanionPolicy.KEEP_NEEDED if self.completes else CompanionPolicy.DROP


def read_upload(upload: Upload) -> TlsMaterial:
    """Read and check the texts of an upload, in a killable worker. Raises PkiFindingsError."""
    return read_tls(
        certificate=upload.certificate,
        private_key=upload.private_key,
        passphrase=upload.passphrase,
        parameters=upload.parameters,
    )
