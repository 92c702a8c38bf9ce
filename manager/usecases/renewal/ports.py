"""Ports of renewal: what it asks of a CA, and of whoever shows challenges to one. `manager.acme` has the real CAs.

Every call ends within its own deadline, and raises `CaError` for everything that goes wrong.
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
    """A CA refused something, or could not be asked.

    `type` is its own code without `urn:ietf:params:acme:error:`, "" where no CA said anything (`message` then tells of the network). `retry_after_s` is how
    long it asks to wait, None if it does not. `is_final`: what was asked will not be granted by asking again. `is_signed`: the CA has signed what
    is refused here, and counts it.
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
    """What a CA offers: `profiles` with their descriptions, whether it wants a binding, where its terms stand, whether it has renewal information."""

    terms_url: str
    website: str
    profiles: dict[str, str]
    needs_binding: bool
    has_renewal_info: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """An order as the CA has it now. `authorization_urls` is one for each name; `message` is why it is invalid, with `type`."""

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
    """Whether a name is proven. `proof` is what to show, None where it is proven, or where the CA does not take this kind of challenge."""

    url: str
    name: str
    status: CaStatus
    proof: Proof | None
    type: str = ""
    message: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggested:
    """When a CA suggests to renew a certificate, why (a link), and for how long not to ask again."""

    window: Window
    why: str
    retry_after_s: float | None


class Ca(Protocol):
    """A CA as one account asks it."""

    async def directory(self) -> Directory:
        """Return what it offers."""

    async def register(self, *, binding_key: str) -> str:
        """Make the account there, or find the one that has its key; return its address. `binding_key` is base64url, "" for none."""

    async def find_account(self) -> str:
        """Return the address of the account that has the key. Raises CaError `accountDoesNotExist`, and no account is made."""

    async def update_contact(self, contact: Sequence[str]) -> None:
        """Tell the CA other contacts."""

    async def change_key(self, new_key_pem: str) -> None:
        """Give the account another key (RFC 8555 7.3.5); from then on only that one counts."""

    async def deactivate(self) -> None:
        """End the account for good; one that has ended is no error."""

    async def order(self, names: Sequence[str], *, profile: str, replaces: str) -> Ordered:
        """Ask for an order of these names (DNS names and IP addresses)."""

    async def find_order(self, names: Sequence[str], *, profile: str) -> Ordered | None:
        """Return an unfinished order of these names and this profile where the CA lists the account's; None if there is none, or it lists nothing."""

    async def look(self, order_url: str) -> Ordered:
        """Return an order as it is now."""

    async def authorization(self, url: str, kind: ChallengeKind) -> Authorization:
        """Return an authorization as it is now, with the proof of this kind."""

    async def answer(self, proof: Proof) -> None:
        """Let the CA look at what is shown."""

    async def finalize(self, finalize_url: str, request_pem: str) -> None:
        """Hand in the request of an order that is ready."""

    async def download(self, certificate_url: str) -> Sequence[str]:
        """Return the certificate with its chain as PEM, the CA's default first, then its alternatives."""

    async def suggested(self, ari_id: str) -> Suggested | None:
        """Return when to renew a certificate; None from a CA that does not say."""


class Cas(Protocol):
    """Makes what asks a CA. The key is the account's, as PEM."""

    async def ca(self, account: AccountRecord, key_pem: str, *, is_test: bool) -> Ca:
        """Return what asks the account's CA, or (`is_test`) the one that orders are tried at. Raises CaError."""


class NoCas:
    """Stands for CAs while no manager runs: what is kept then is ordered when it starts."""

    async def ca(self, account: AccountRecord, key_pem: str, *, is_test: bool) -> Ca:
        """Raise CaError: nobody would ask."""
        del account, key_pem, is_test
        raise CaError("the manager does not run; it asks CAs when it starts", is_final=True)


def wake_nobody() -> None:
    """Stand for the runner of renewals while no manager runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Who does not show a proof yet: a node (with its port) or a name server, and what it answered, in words.

    `is_being_told`: it is connected, and has not said yet whether it shows the proof, which takes it a second.
    """

    where: str
    name: str
    message: str
    is_being_told: bool = False


class Showing(Protocol):
    """Shows proofs of one kind to a CA, until they are taken away."""

    async def place(self, proofs: Sequence[Proof], *, until_s: float) -> None:
        """Put them where the CA will look, all or what is not there yet; again as often as one likes. Raises CaError."""

    async def missing(self, proofs: Sequence[Proof]) -> Sequence[Missing]:
        """Look as the CA will; return who does not show which. Raises CaError."""

    async def remove(self, proofs: Sequence[Proof]) -> None:
        """Take them away; what is not there is no error. Raises CaError."""
