"""Certificate signing requests (PKCS#10), and the certificates that CAs make of them. Pure."""

from typing import Literal

import msgspec

from common.api.codes import Slot
from common.api.values import (
    Alternatives,
    ConfirmationText,
    Id,
    Moment,
    Nodes,
    RequestBody,
    SecretText,
    SubjectText,
    UploadText,
)


class NewRequest(RequestBody, frozen=True, kw_only=True):
    """A request to make. `certificate` is the one that it is to replace: its subject and names are then the default.

    Without a `private_key_type` the new key is like that of the certificate to be replaced, RSA2048 if there is none; UPLOAD takes
    `private_key`. `ad_compatible` adds the Microsoft certificate-template extension.
    """

    certificate: Id | None = None
    subject: SubjectText | None = None
    subject_alt_names: Alternatives | None = None
    extra_subject_alt_names: Alternatives = msgspec.field(default_factory=list)
    private_key_type: Literal["RSA2048", "RSA4096", "ECDSAP256", "ECDSAP384", "UPLOAD"] | None = None
    private_key: UploadText = ""
    private_key_passphrase: SecretText | None = None
    ad_compatible: bool = False
    eku_server_auth: bool | None = None
    eku_client_auth: bool | None = None

    def __repr__(self) -> str:
        return "<request>"


class SignedCertificate(RequestBody, frozen=True, kw_only=True):
    """What a CA made of a request, with its chain. `take_over` gives it the nodes of the certificate that it replaces.

    `passphrase` opens a PKCS#12 file. `replace` and `confirm` as for an upload.
    """

    certificate: UploadText
    passphrase: SecretText | None = None
    parameters: UploadText = ""
    take_over: bool = False
    nodes: Nodes = msgspec.field(default_factory=list)
    slot: Slot = "server"
    replace: bool = False
    confirm: ConfirmationText | None = None

    def __repr__(self) -> str:
        return "<answer>"


class RequestAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A request; never its key."""

    id: int
    subject_name: str
    raw_subject: str
    subject_alt_names: tuple[str, ...]
    key_type: str
    csr: str
    replaces: int | None
    answered_by: int | None
    created_at_s: Moment
    answered_at_s: Moment | None


class RequestsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All requests."""

    requests: list[RequestAnswer]


class RequestFields(msgspec.Struct, frozen=True, kw_only=True):
    """What a request to replace a certificate asks for, unless it is told otherwise."""

    subject: str
    subject_alt_names: list[str]
    eku_server_auth: bool
    eku_client_auth: bool
