"""Callers: who is asking, how they authenticated, and what that permits.

Invariant: a credential never grants more than its user's current role. Only a password sent with the request,
or entered recently in the session, permits creating credentials and exporting private keys. A join token
leads to private keys, since a joining node receives its keys, so it needs a password or a credential made for
it.
"""

import math
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
    """Kinds of credentials."""

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
class Maker:
    """Identifies the credential that a join token was made with, by a number that no renaming changes.

    A join token expires with its credential: a user's password, an API token or a program. `until_s` is the
    credential's own expiry, in unix seconds.
    """

    user_id: int | None = None
    api_token_id: int | None = None
    oauth_client_id: int | None = None
    until_s: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Authenticated caller.

    `user` has the role that the credential grants now; `proof` is the hash of the credential.

    `token_id` is the API token's number, None for other credentials; `provisions` marks a token made to
    obtain join tokens. `until_s` is when the credential expires, and with it what it has made. Access tokens
    have none, since their program goes on.
    """

    user: UserRecord
    credential: Credential
    proof: str = field(repr=False)
    token_id: int | None = None
    push_only: bool = False
    provisions: bool = False
    until_s: float = math.inf

    @property
    def maker(self) -> Maker:
        """Maker of join tokens that this caller requests."""
        match self.credential:
            case Credential.PASSWORD:
                return Maker(user_id=self.user.id)
            case Credential.API_TOKEN:
                return Maker(api_token_id=self.token_id, until_s=self.until_s)
            case Credential.ACCESS_TOKEN:
                return Maker(oauth_client_id=self.user.id)

    @property
    def may_provision(self) -> bool:
        """Whether this caller, if it may change nodes, may get join tokens."""
        return self.credential is Credential.PASSWORD or self.provisions


def role_of(scope: Scope, role: Role) -> Role:
    """Return the role that a token of this scope grants to a user with this current role."""
    return min(_ROLE_OF[scope], role, key=ROLES.index)


def includes(role: Role, needed: Role) -> bool:
    """Whether a role includes another."""
    return ROLES.index(role) >= ROLES.index(needed)


def fits(scope: Scope, role: Role) -> bool:
    """Whether a user of this role may make a token of this scope."""
    return includes(role, _ROLE_OF[scope])


def check_allowed(caller: Caller, needed: Role, *, pushes: bool = False) -> None:
    """Refuse what this caller may not do; `pushes` marks a part of pushing. Raises AccessError FORBIDDEN."""
    user = caller.user
    if not includes(user.role, needed):
        raise AccessError(
            f"this needs the role {needed}; user '{user.name}' is {user.role} here", reason=Reason.FORBIDDEN
        )
    if caller.push_only and not pushes:
        raise AccessError("this token is for pushing only", reason=Reason.FORBIDDEN)


def check_password_given(caller: Caller) -> None:
    """Refuse a caller that sent no password. Raises AccessError PASSWORD_REQUIRED."""
    if caller.credential is not Credential.PASSWORD:
        raise AccessError(
            f"this needs the user's own name and password; an {caller.credential} is not enough",
            reason=Reason.PASSWORD_REQUIRED,
        )


def check_may_provision(caller: Caller) -> None:
    """Refuse join tokens to a credential that was not made for them. Raises AccessError PASSWORD_REQUIRED."""
    if not caller.may_provision:
        raise AccessError(
            "a join token gives access to a node's private keys, so this needs the user's own name and password, an API "
            f"token with the scope '{Scope.PROVISIONING}', or a program whose role has the permission '{PROVISION}'",
            reason=Reason.PASSWORD_REQUIRED,
        )
