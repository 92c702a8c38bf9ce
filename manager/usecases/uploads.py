"""Uploads: a certificate as somebody gives it, and where it is to go.

Decides nothing; front ends make one, so that what they were sent is parsed once. Invariant: neither a key nor a passphrase is shown by `repr`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from common.bundle.manifest import Slot
from common.ids import NodeName
from manager.pki.read.material import TlsMaterial
from manager.usecases.admission import read_tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Texts of a TLS certificate, and the nodes that get it in a slot. The key may stand in `certificate` too."""

    certificate: str = field(repr=False)
    private_key: str = field(default="", repr=False)
    passphrase: str | None = field(default=None, repr=False)
    parameters: str = ""
    nodes: Sequence[NodeName] = ()
    slot: Slot = "server"


def read_upload(upload: Upload) -> TlsMaterial:
    """Read and try the texts of an upload, where it can be killed. Raises PkiFindingsError."""
    return read_tls(
        certificate=upload.certificate,
        private_key=upload.private_key,
        passphrase=upload.passphrase,
        parameters=upload.parameters,
    )
