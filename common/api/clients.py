"""Programs that sign in with a key of their own (OAuth clients). Pure."""

import msgspec

from common.api.codes import Role
from common.api.values import Moment, NameText, PublicKeyText, RequestBody, RoleCode


class NewClient(RequestBody, frozen=True, kw_only=True):
    """A client to register. `public_key` is PEM, ECDSA on the curve P-256."""

    name: NameText
    role: Role
    public_key: PublicKeyText


class ClientAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A registered client; it names itself by `client_id` in its assertions.

    It is removed with the administrator that registered it. The last use is known to five minutes, and null if there was none.
    """

    client_id: str
    name: str
    role: RoleCode
    public_key: str
    created_at_s: Moment
    created_by: str
    last_used_at_s: Moment | None
    last_source: str | None


class ClientsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All registered clients."""

    clients: list[ClientAnswer]
