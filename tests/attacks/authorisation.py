"""Who may do what, for every route that the composed application has; a route that is not stated here fails the test of it.

A row is a method, a path and the least role that it needs; `password` says that no token is enough, `pushing` that a token for pushing
only is, `provisioning` that only a token is that was made for join tokens, `own` that a token of a lesser role than administrator is not. This is stated apart from the code's own tables, to be compared with
them.
"""

from dataclasses import dataclass, field

from common.api.codes import Role

_TEXT = """
GET    / reader
*      //api/admin/{path} management
GET    /alarms reader
POST   /alarms/acknowledge operator
GET    /alarms/history reader
*      /api/admin/{path} management
GET    /api/certcast/v1/accounts reader
POST   /api/certcast/v1/accounts administrator
DELETE /api/certcast/v1/accounts/{id} administrator
GET    /api/certcast/v1/accounts/{id} reader
PATCH  /api/certcast/v1/accounts/{id} administrator
POST   /api/certcast/v1/accounts/{id}/change-key administrator
POST   /api/certcast/v1/accounts/{id}/deactivate administrator
GET    /api/certcast/v1/accounts/{id}/directory administrator
POST   /api/certcast/v1/accounts/{id}/register administrator
GET    /api/certcast/v1/alarms reader
POST   /api/certcast/v1/alarms/acknowledge operator
GET    /api/certcast/v1/alarms/history reader
GET    /api/certcast/v1/audit administrator
GET    /api/certcast/v1/audit/head administrator
GET    /api/certcast/v1/audit/verify administrator
GET    /api/certcast/v1/certificates reader
POST   /api/certcast/v1/certificates administrator
GET    /api/certcast/v1/certificates/by-node reader
POST   /api/certcast/v1/certificates/delete administrator
POST   /api/certcast/v1/certificates/download reader
DELETE /api/certcast/v1/certificates/{id} administrator
GET    /api/certcast/v1/certificates/{id} reader
PATCH  /api/certcast/v1/certificates/{id} administrator
POST   /api/certcast/v1/certificates/{id}/assign administrator
GET    /api/certcast/v1/certificates/{id}/renewal-fields reader
GET    /api/certcast/v1/certificates/{id}/request-fields reader
GET    /api/certcast/v1/docs anybody
GET    /api/certcast/v1/docs/style.css anybody
GET    /api/certcast/v1/events reader pushing
GET    /api/certcast/v1/fleet reader pushing
GET    /api/certcast/v1/host-key reader
POST   /api/certcast/v1/host-key/abandon administrator
POST   /api/certcast/v1/host-key/announce administrator
POST   /api/certcast/v1/host-key/drop administrator
POST   /api/certcast/v1/host-key/switch administrator
POST   /api/certcast/v1/import administrator
GET    /api/certcast/v1/join-tokens administrator
GET    /api/certcast/v1/nodes reader
POST   /api/certcast/v1/nodes administrator provisioning
DELETE /api/certcast/v1/nodes/{name} administrator
GET    /api/certcast/v1/nodes/{name} reader
GET    /api/certcast/v1/nodes/{name}/generations reader
GET    /api/certcast/v1/nodes/{name}/generations/{generation}/difference reader
POST   /api/certcast/v1/nodes/{name}/generations/{generation}/republish administrator
POST   /api/certcast/v1/nodes/{name}/join-token administrator provisioning
DELETE /api/certcast/v1/nodes/{name}/join-tokens/{id} administrator
DELETE /api/certcast/v1/nodes/{name}/slots/{slot} administrator
PUT    /api/certcast/v1/nodes/{name}/slots/{slot} administrator
GET    /api/certcast/v1/oauth-clients administrator
POST   /api/certcast/v1/oauth-clients administrator password
DELETE /api/certcast/v1/oauth-clients/{name} administrator
GET    /api/certcast/v1/openapi.json anybody
POST   /api/certcast/v1/push operator pushing
GET    /api/certcast/v1/renewals reader
POST   /api/certcast/v1/renewals administrator
DELETE /api/certcast/v1/renewals/{id} administrator
GET    /api/certcast/v1/renewals/{id} reader
PUT    /api/certcast/v1/renewals/{id} administrator
POST   /api/certcast/v1/renewals/{id}/order operator
POST   /api/certcast/v1/renewals/{id}/pause administrator
POST   /api/certcast/v1/renewals/{id}/resume administrator
POST   /api/certcast/v1/renewals/{id}/test operator
GET    /api/certcast/v1/requests reader
POST   /api/certcast/v1/requests administrator
DELETE /api/certcast/v1/requests/{id} administrator
GET    /api/certcast/v1/requests/{id} reader
POST   /api/certcast/v1/requests/{id}/answer administrator
GET    /api/certcast/v1/tokens reader
POST   /api/certcast/v1/tokens reader password
DELETE /api/certcast/v1/tokens/{id} reader own
GET    /api/certcast/v1/trusted-cas reader
POST   /api/certcast/v1/trusted-cas administrator
GET    /api/certcast/v1/trusted-cas/builtin reader
POST   /api/certcast/v1/trusted-cas/delete administrator
GET    /api/certcast/v1/trusted-cas/export reader
DELETE /api/certcast/v1/trusted-cas/{id} administrator
GET    /api/certcast/v1/trusted-cas/{id} reader
PATCH  /api/certcast/v1/trusted-cas/{id} administrator
GET    /api/certcast/v1/users administrator
POST   /api/certcast/v1/users administrator password
DELETE /api/certcast/v1/users/{name} administrator password
PUT    /api/certcast/v1/users/{name}/role administrator password
DELETE /api/certcast/v1/users/{name}/sessions administrator
GET    /api/certcast/v1/users/{name}/sessions administrator
GET    /api/certcast/v1/whoami reader pushing
GET    /audit administrator
GET    /audit/verify administrator
GET    /ca-accounts reader
GET    /ca-accounts/new administrator
POST   /ca-accounts/new administrator
GET    /ca-accounts/{id} reader
POST   /ca-accounts/{id}/change-key administrator
POST   /ca-accounts/{id}/contact administrator
GET    /ca-accounts/{id}/deactivate administrator
POST   /ca-accounts/{id}/deactivate administrator
GET    /ca-accounts/{id}/delete administrator
POST   /ca-accounts/{id}/delete administrator
GET    /ca-accounts/{id}/edit administrator
POST   /ca-accounts/{id}/edit administrator
GET    /ca-accounts/{id}/offers administrator
POST   /ca-accounts/{id}/register administrator
GET    /certificates reader
GET    /certificates/by-node reader
GET    /certificates/delete administrator
POST   /certificates/delete administrator
GET    /certificates/download reader
POST   /certificates/download reader
GET    /certificates/import administrator
POST   /certificates/import administrator
GET    /certificates/new administrator
POST   /certificates/new administrator
GET    /certificates/{id} reader
GET    /certificates/{id}/edit administrator
POST   /certificates/{id}/edit administrator
POST   /certificates/{id}/trust-root administrator
POST   /confirm reader
GET    /favicon.ico anybody
GET    /findings reader
GET    /health/live anybody
GET    /health/ready anybody
GET    /health/startup anybody
GET    /help reader
GET    /live/alarms reader
GET    /live/certificates/{id} reader
GET    /live/fleet reader
GET    /live/nodes/{name} reader
GET    /live/renewals/{id} reader
GET    /metrics anybody
GET    /nodes reader
GET    /nodes/new administrator password
POST   /nodes/new administrator password
GET    /nodes/{name} reader
GET    /nodes/{name}/edit administrator
POST   /nodes/{name}/edit administrator
GET    /nodes/{name}/generations reader
GET    /nodes/{name}/generations/compare reader
GET    /nodes/{name}/generations/{generation}/republish administrator
POST   /nodes/{name}/generations/{generation}/republish administrator
GET    /nodes/{name}/join-token administrator password
POST   /nodes/{name}/join-token administrator password
GET    /nodes/{name}/joining reader
GET    /nodes/{name}/retire administrator
POST   /nodes/{name}/retire administrator
GET    /nodes/{name}/slots/{slot} administrator
POST   /nodes/{name}/slots/{slot} administrator
GET    /nodes/{name}/slots/{slot}/empty administrator
POST   /nodes/{name}/slots/{slot}/empty administrator
POST   /oauth/token/ anybody
GET    /push operator
POST   /push operator
GET    /renewals reader
GET    /renewals/by-request administrator
POST   /renewals/by-request administrator
GET    /renewals/set-up administrator
GET    /renewals/set-up/certificate administrator
GET    /renewals/set-up/terms administrator
POST   /renewals/set-up/terms administrator
GET    /renewals/{id} reader
GET    /renewals/{id}/edit administrator
POST   /renewals/{id}/edit administrator
POST   /renewals/{id}/order operator
POST   /renewals/{id}/pause administrator
GET    /renewals/{id}/remove administrator
POST   /renewals/{id}/remove administrator
POST   /renewals/{id}/resume administrator
GET    /renewals/{id}/set-up administrator
POST   /renewals/{id}/set-up administrator
POST   /renewals/{id}/set-up/test administrator
POST   /renewals/{id}/test operator
GET    /requests reader
GET    /requests/delete administrator
POST   /requests/delete administrator
GET    /requests/new administrator
POST   /requests/new administrator
GET    /requests/{id} reader
POST   /requests/{id}/answer administrator
GET    /requests/{id}/download reader
GET    /set-up/{token} anybody
POST   /set-up/{token} anybody
GET    /sign-in anybody
POST   /sign-in anybody
POST   /sign-out reader
GET    /static/{name} anybody
GET    /trusted-cas reader
GET    /trusted-cas/builtin reader
GET    /trusted-cas/delete administrator
POST   /trusted-cas/delete administrator
GET    /trusted-cas/export reader
GET    /trusted-cas/import administrator
POST   /trusted-cas/import administrator
GET    /trusted-cas/{id} reader
GET    /trusted-cas/{id}/edit administrator
POST   /trusted-cas/{id}/edit administrator
GET    /users reader
GET    /users/clients/new administrator password
POST   /users/clients/new administrator password
GET    /users/clients/{name}/remove administrator
POST   /users/clients/{name}/remove administrator
GET    /users/me reader
POST   /users/me/password reader
POST   /users/me/sessions/end reader
POST   /users/me/tokens reader password
GET    /users/named/{name} administrator
POST   /users/named/{name}/password administrator password
GET    /users/named/{name}/remove administrator password
POST   /users/named/{name}/remove administrator password
POST   /users/named/{name}/role administrator password
POST   /users/named/{name}/sessions administrator
GET    /users/new administrator password
POST   /users/new administrator password
GET    /users/tokens administrator
GET    /users/tokens/{id}/remove reader
POST   /users/tokens/{id}/remove reader
GET    /{rest} anybody
"""

ROLES = {"reader": Role.READ_ONLY, "operator": Role.OPERATOR, "administrator": Role.ADMINISTRATOR}
RANK = {None: -1, Role.READ_ONLY: 0, Role.OPERATOR: 1, Role.ADMINISTRATOR: 2}

MANAGEMENT_READS = ("GET", "HEAD", "OPTIONS")
"""What a reader may do with the management API; everything else is the administrators'."""

GIVES_ACCESS = {"oauth2_client", "role"}
"""Resources of the management API that are made and changed with a password only."""


@dataclass(frozen=True)
class Row:
    method: str
    path: str
    role: Role | None
    flags: frozenset[str]


@dataclass(frozen=True)
class Principal:
    """`role` is what its credential gives, None if it gives nothing."""

    name: str
    headers: dict[str, str] = field(repr=False)
    role: Role | None = None
    has_password: bool = False
    push_only: bool = False
    provisions: bool = False


def stated() -> list[Row]:
    rows = []
    for line in _TEXT.strip().splitlines():
        method, path, need, *flags = line.split()
        if need != "management":
            rows.append(Row(method, path, ROLES.get(need), frozenset(flags)))
    return rows


def stated_keys() -> set[tuple[str, str]]:
    """Return all methods and paths; what answers GET answers HEAD as well."""
    keys = {(line.split()[0], line.split()[1]) for line in _TEXT.strip().splitlines()}
    return keys | {("HEAD", path) for method, path in keys if method == "GET"}


def expected(row: Row, who: Principal) -> str:
    """Return how a row answers: in, out (sign in first), forbidden, or password."""
    if row.role is None:
        return "in"
    if who.role is None:
        return "out"
    if RANK[who.role] < RANK[row.role] or (who.push_only and "pushing" not in row.flags):
        return "forbidden"
    lesser = "own" in row.flags and who.role is not Role.ADMINISTRATOR
    if ("password" in row.flags or lesser) and not who.has_password:
        return "password"
    if "provisioning" in row.flags and not (who.has_password or who.provisions):
        return "password"
    return "in"


def expected_of_management(method: str, resource: str | None, who: Principal) -> str:
    """Return how the management API answers at a resource, or at a root (None): in, out or forbidden, which is a missing password as well."""
    if who.role is None:
        return "out"
    needed = Role.READ_ONLY if method in MANAGEMENT_READS else Role.ADMINISTRATOR
    if RANK[who.role] < RANK[needed] or who.push_only:
        return "forbidden"
    gives = resource in GIVES_ACCESS and method in {"POST", "PUT", "PATCH"}
    return "forbidden" if gives and not who.has_password else "in"
