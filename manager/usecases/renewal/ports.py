"""Ports of renewal: CAs, and the providers that show challenges to them. `manager.acme` has the real CAs.

Every call has its own deadline, and raises `CaError` for every failure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from common.errors import CertcastError, Reason
from manager.domain.renewal.moments import Window
from manager.domain.renewal.records import AccountRecord, ChallengeKind, Proof

CaStatus = Literal["pending", "ready", "processing", "valid", "invalid", "deactivated", "expired", "revoked"]
"""RFC 8555 7.1.6, of orders and authorizations."""


class CaError(CertcastError):
    """A CA refused a request or could not be reached.

    `type` is the ACME error type without `urn:ietf:params:acme:error:`, "" without an answer (`message` then
    describes the network). `retry_after_s` is the requested delay, None if there is none. `is_final`:
    repeating the request will not help. `is_signed`: the CA has signed, and counts, the certificate that is
    refused here.
    """

    reason = Reason.UNREACHABLE

    def __init__(
        self,
        message: str,
        *,
        type: str = "",  # noqa: A002 - the word of RFC 7807
        detail: str = "",
        retry_after_s: float | None = None,
        is_final: bool = False,
        is_signed: bool = False,
    ) -> None:
        super().__init__(message)
        self.type = type
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.is_final = is_final
        self.is_signed = is_signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """A CA's offer: `profiles` with descriptions, terms of service, required binding, renewal information."""

    terms_url: str
    website: str
    profiles: dict[str, str]
    needs_binding: bool
    has_renewal_info: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """An order's state at the CA.

    `authorization_urls` has one per name; `message` and `type` say why it is invalid.
    """

    url: str
    status: CaStatus
    finalize_url: str
    authorization_urls: Sequence[str]
    certificate_url: str = ""
    type: str = ""
    message: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """State of a name's authorization.

    `proof` is what to show, None if the name is proven or the CA does not accept this kind of challenge.
    """

    url: str
    name: str
    status: CaStatus
    proof: Proof | None
    type: str = ""
    message: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggested:
    """Renewal window suggested by a CA, an explanation (a link), and the time until it may be asked again."""

    window: Window
    why: str
    retry_after_s: float | None


class Ca(Protocol):
    """A CA, used with one account."""

    async def directory(self) -> Directory:
        """Return the CA's directory."""

    async def register(self, *, binding_key: str) -> str:
        """Register the account, or find the one with its key; return its URL.

        `binding_key` is base64url, "" for none.
        """

    async def find_account(self) -> str:
        """Return the URL of the account with this key. Raises CaError `accountDoesNotExist`; creates none."""

    async def update_contact(self, contact: Sequence[str]) -> None:
        """Update the contacts at the CA."""

    async def change_key(self, new_key_pem: str) -> None:
        """Replace the account's key (RFC 8555 7.3.5); only the new one is valid afterwards."""

    async def deactivate(self) -> None:
        """Deactivate the account for good; an ended one is no error."""

    async def order(self, names: Sequence[str], *, profile: str, replaces: str) -> Ordered:
        """Create an order for these names (DNS names and IP addresses)."""

    async def find_order(self, names: Sequence[str], *, profile: str) -> Ordered | None:
        """Return an unfinished order for these names and profile, from the CA's list of orders.

        None if there is none, or if the CA has no such list.
        """

    async def look(self, order_url: str) -> Ordered:
        """Return an order's current state."""

    async def authorization(self, url: str, kind: ChallengeKind) -> Authorization:
        """Return an authorization's current state, with its proof of this kind."""

    async def answer(self, proof: Proof) -> None:
        """Tell the CA to validate a proof."""

    async def finalize(self, finalize_url: str, request_pem: str) -> None:
        """Submit the CSR of a ready order."""

    async def download(self, certificate_url: str) -> Sequence[str]:
        """Return the certificate and its chain as PEM: the CA's default first, then the alternatives."""

    async def suggested(self, ari_id: str) -> Suggested | None:
        """Return the renewal window of a certificate; None if the CA suggests none."""


class Cas(Protocol):
    """Creates clients of CAs. The key is the account's, as PEM."""

    async def ca(self, account: AccountRecord, key_pem: str, *, is_test: bool) -> Ca:
        """Return a client of the account's CA, or of its test directory (`is_test`). Raises CaError."""


class NoCas:
    """Stand-in for CAs while no manager runs; the manager places stored orders when it starts."""

    async def ca(self, account: AccountRecord, key_pem: str, *, is_test: bool) -> Ca:
        """Raise CaError: no manager runs."""
        del account, key_pem, is_test
        raise CaError("the manager does not run; it asks CAs when it starts", is_final=True)


def wake_nobody() -> None:
    """Do nothing: no manager runs that has a renewal runner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A node (with its port) or a name server that does not show a proof, and its answer in words.

    `is_being_told`: the node is connected and has not reported on the proof yet, which takes a second.
    """

    where: str
    name: str
    message: str
    is_being_told: bool = False


class Showing(Protocol):
    """Shows proofs of one kind to a CA until they are removed."""

    async def place(self, proofs: Sequence[Proof], *, until_s: float) -> None:
        """Place all proofs, or the missing ones, where the CA will look. Idempotent. Raises CaError."""

    async def missing(self, proofs: Sequence[Proof]) -> Sequence[Missing]:
        """Look up each proof as the CA will; return those that are missing, and where. Raises CaError."""

    async def remove(self, proofs: Sequence[Proof]) -> None:
        """Remove proofs; a missing one is no error. Raises CaError."""
