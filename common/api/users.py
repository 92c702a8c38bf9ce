"""Users, their roles, API tokens and sessions. Pure."""

from typing import Final

import msgspec

from common.api.codes import Role, Scope
from common.api.values import LabelText, Moment, NameText, RequestBody, RoleCode, ScopeCode, SecretText

TOKEN_DAYS: Final = 90
"""How long a token is good for where the request does not say."""


class NewUser(RequestBody, frozen=True, kw_only=True):
    """A user to add."""

    name: NameText
    password: SecretText
    role: Role = Role.READ_ONLY

    def __repr__(self) -> str:
        return f"<new user {self.name}>"


class NewRole(RequestBody, frozen=True, kw_only=True):
    """What a user may do from now on."""

    role: Role


class NewToken(RequestBody, frozen=True, kw_only=True):
    """A token for the caller: for as many days (365 at most), and for as much as its scope says, which is the caller's role by default."""

    label: LabelText
    days: int = TOKEN_DAYS
    scope: Scope | None = None


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is calling."""

    user: str
    role: RoleCode


class UserAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A user."""

    name: str
    role: RoleCode
    created_at_s: Moment


class UsersAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All users."""

    users: list[UserAnswer]


class ListedToken(msgspec.Struct, frozen=True, kw_only=True):
    """An API token, without the token itself. The last use is known to five minutes, and null if there was none."""

    id: int
    user: str
    label: str
    scope: ScopeCode
    created_at_s: Moment
    expires_at_s: Moment
    last_used_at_s: Moment | None
    last_source: str | None


class TokensAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """API tokens that are still good, the latest first."""

    tokens: list[ListedToken]


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An API token, shown once."""

    token: str
    expires_at_s: Moment


class ListedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that is signed in, by an id that cannot be used to sign in."""

    id: str
    created_at_s: Moment
    seen_at_s: Moment
    source: str


class SessionsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Where a user is signed in, the one that was seen last first."""

    sessions: list[ListedSession]
