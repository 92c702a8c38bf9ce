"""Uploads and edits: a certificate as somebody gives it or changes it, and where it is to go.

Front ends make one, so that what they were sent is parsed once; decides only what an edit leaves as it is. Invariant: neither a key nor a passphrase is shown by `repr`.
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
    """Texts of a TLS certificate, and the nodes that get it in a slot. The key may stand in `certificate` too."""

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
    """What to change of an entry: its certificate, its parameters, the nodes that have it in a slot, what is written about it; None leaves each as it is.

    The private key stays, and the certificate must pair with it, unless `key` comes along, which only the existing clients' API
    allows; `passphrase` opens a PKCS#12 file in `certificate`. A certificate replaces all that there was, unless `completes` lets
    stay what its chain needs, for who cannot confirm.
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
        """Whether what nodes get of it has to be read again."""
        return self.certificate is not None or self.parameters is not None or self.key is not None

    def companion_policy(self, text: str) -> CompanionPolicy:
        """Return what becomes of the certificates that came with an entry of this text."""
        if self.certificate is None or self.certificate == text:
            return CompanionPolicy.KEEP
        return CompanionPolicy.KEEP_NEEDED if self.completes else CompanionPolicy.DROP


def read_upload(upload: Upload) -> TlsMaterial:
    """Read and try the texts of an upload, where it can be killed. Raises PkiFindingsError."""
    return read_tls(
        certificate=upload.certificate,
        private_key=upload.private_key,
        passphrase=upload.passphrase,
        parameters=upload.parameters,
    )
