"""Callers: who asks, how it was proven, and what that proof is good for.

Invariant: a credential never gives more than its user's role does now, and only a password that came with the request itself, or
was given again just now by who is signed in, lets a caller make credentials or take private keys away. A join token is a way to
private keys, since whoever joins as a node is sent its keys: it takes a password too, or a credential that was made for it.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from common.codes import Role, Scope
from common.errors import AccessError, Reason
from manager.domain.model import UserRecord
from manager.domain.permissions import PROVISION

ROLES: Final = (Role.READ_ONLY, Role.OPERATOR, Role.ADMINISTRATOR)
"""All roles; each includes those before it."""


class Credential(StrEnum):
    """How a caller proved who it is."""

    PASSWORD = "password"  # noqa: S105 - a kind
    API_TOKEN = "api token"  # noqa: S105 - a kind
    ACCESS_TOKEN = "access token"  # noqa: S105 - a kind


_ROLE_OF: Final = {
    Scope.READ_ONLY: Role.READ_ONLY,
    Scope.PUSH_ONLY: Role.OPERATOR,
    Scope.OPERATOR: Role.OPERATOR,
    Scope.ADMINISTRATOR: Role.ADMINISTRATOR,
    Scope.PROVISIONING: Role.ADMINISTRATOR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `user` has the role that the credential gives now; `proof` is the hash of the credential.

    `token_id` is the API token's number, None for any other credential; `provisions` says that a token was made to obtain join tokens.
    """

    user: UserRecord
    credential: Credential
    proof: str = field(repr=False)
    token_id: int | None = None
    push_only: bool = False
    provisions: bool = False

    @property
    def may_provision(self) -> bool:
        """Whether this caller, if it may change nodes, may have join tokens."""
        return self.credential is Credential.PASSWORD or self.provisions


def role_of(scope: Scope, role: Role) -> Role:
    """Return the role that a token of this scope gives, whose user has this role now."""
    return min(_ROLE_OF[scope], role, key=ROLES.index)


def includes(role: Role, needed: Role) -> bool:
    """Whether a role includes another."""
    return ROLES.index(role) >= ROLES.index(needed)


def fits(scope: Scope, role: Role) -> bool:
    """Whether a user of this role may make a token of this scope."""
    return includes(role, _ROLE_OF[scope])


def check_allowed(caller: Caller, needed: Role, *, pushes: bool = False) -> None:
    """Refuse what this caller may not do; `pushes` says that it belongs to pushing. Raises AccessError FORBIDDEN."""
    user = caller.user
    if not includes(user.role, needed):
        raise AccessError(
            f"this needs the role {needed}; user '{user.name}' is {user.role} here", reason=Reason.FORBIDDEN
        )
    if caller.push_only and not pushes:
        raise AccessError("this token is for pushing only", reason=Reason.FORBIDDEN)


def check_password_given(caller: Caller) -> None:
    """Refuse a caller that did not send a password. Raises AccessError PASSWORD_REQUIRED."""
    if caller.credential is not Credential.PASSWORD:
        raise AccessError(
            f"this needs the user's own name and password; an {caller.credential} is not enough",
            reason=Reason.PASSWORD_REQUIRED,
        )


def check_may_provision(caller: Caller) -> None:
    """Refuse join tokens to a credential that was not made for them. Raises AccessError PASSWORD_REQUIRED."""
    if not caller.may_provision:
        raise AccessError(
            "whoever has a join token receives a node's private keys: this needs the user's own name and password, an API token with the "
            f"scope '{Scope.PROVISIONING}', or a program whose role has the permission '{PROVISION}'",
            reason=Reason.PASSWORD_REQUIRED,
        )
