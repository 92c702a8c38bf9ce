"""TLS certificates: what requests send to add, import, change, assign, download or delete them. Pure.

Invariant: what may hold a private key or a passphrase is not shown by its `repr`.
"""

from typing import Annotated

import msgspec

from common.api.codes import Format, Slot
from common.api.deletions import ToDelete
from common.api.values import (
    ConfirmationText,
    Ids,
    NameText,
    Nodes,
    RequestBody,
    SecretText,
    UploadBytes,
    UploadText,
)
from common.limits import NOTE_MAX_CHARS

NoteText = Annotated[str, msgspec.Meta(max_length=NOTE_MAX_CHARS)]


class NewCertificate(RequestBody, frozen=True, kw_only=True):
    """An upload. The key may stand in `certificate` too; `nodes` get it in `slot` at once.

    A file that is no text (DER, PKCS#12, PKCS#7, ZIP) is sent as one PEM block of its bytes: what a block holds is told by its content.

    `replace` allows that it takes the place of one with its issuer and serial number whose private key is another, which is lost then.
    `confirm` is an empty string to be told what the change means before it is made, and then the token that came with that.
    """

    certificate: UploadText
    private_key: UploadText = ""
    private_key_passphrase: SecretText | None = None
    parameters: UploadText = ""
    nodes: Nodes = msgspec.field(default_factory=list)
    slot: Slot = "server"
    note: NoteText | None = None
    replace: bool = False
    confirm: ConfirmationText | None = None

    def __repr__(self) -> str:
        return "<upload>"


class ImportedFile(RequestBody, frozen=True, kw_only=True):
    """A file of an import; `content` is base64."""

    name: NameText
    content: UploadBytes

    def __repr__(self) -> str:
        return "<file>"


class Import(RequestBody, frozen=True, kw_only=True):
    """Files with certificates, keys, parameters and trusted CAs; the passphrase is tried on every encrypted key.

    One finding keeps everything out; with `skip_unusable` only what cannot be used is left out, and the answer says so.
    `confirm` as for an upload.
    """

    files: Annotated[list[ImportedFile], msgspec.Meta(max_length=1000)]
    private_key_passphrase: SecretText | None = None
    skip_unusable: bool = False
    confirm: ConfirmationText | None = None

    def __repr__(self) -> str:
        return "<import>"


class CertificateEdit(RequestBody, frozen=True, kw_only=True):
    """What to change; what is left out stays. `nodes` are all that shall have it in `slot`. The key cannot be changed.

    `passphrase` opens a PKCS#12 file. `confirm` as for an upload.
    """

    certificate: UploadText | None = None
    passphrase: SecretText | None = None
    parameters: UploadText | None = None
    nodes: Nodes | None = None
    slot: Slot = "server"
    note: NoteText | None = None
    confirm: ConfirmationText | None = None

    def __repr__(self) -> str:
        return "<edit>"


class Assign(RequestBody, frozen=True, kw_only=True):
    """Where to assign; null means every node but the management node. `confirm` as for an upload."""

    nodes: Nodes | None
    slot: Slot = "server"
    confirm: ConfirmationText | None = None


class DownloadRequest(RequestBody, frozen=True, kw_only=True):
    """What one file shall hold.

    `include_key` needs the role of an administrator, that user's password, and a passphrase of at least 12 characters that is hard to guess. `pfx_legacy` is weak, for old devices only: 3DES and SHA-1 with 2,048 rounds.
    """

    ids: Ids
    format: Format = Format.PEM
    include_certificate: bool = True
    include_intermediates: bool = True
    include_key: bool = False
    passphrase: SecretText | None = None

    def __repr__(self) -> str:
        return "<download>"


class CertificatesToDelete(ToDelete, frozen=True, kw_only=True):
    """Which to delete, all or none; `force` even where they are in use. `confirm` as for an upload, in place of `force`."""
