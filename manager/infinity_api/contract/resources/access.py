"""Programs that sign in with a key of their own, and what they may do (the contract's sections 3.5 and 20).

A role is what its permissions give; Certcast knows three levels, and a role has the highest that it has the permission for.
"""

from typing import Final

from manager.infinity_api.contract.description import (
    ID,
    RESOURCE_URI,
    Field,
    Kind,
    Method,
    Namespace,
    Resource,
)
from manager.infinity_api.contract.resources.fields import ONE, many, one, required_text, shown

CLIENT_NAME_MAX: Final = 150

PERMISSION: Final = Resource(
    namespace=Namespace.CONFIGURATION,
    name="permission",
    title="Permission",
    help="What a role may give.",
    list_methods=frozenset({Method.GET}),
    detail_methods=frozenset({Method.GET}),
    fields=(
        ID,
        shown("name", "The name of the permission."),
        shown("codename", "Its name for programs."),
        RESOURCE_URI,
    ),
)

ROLE: Final = Resource(
    namespace=Namespace.CONFIGURATION,
    name="role",
    title="Role",
    gives_access=True,
    help="What a program may do: read-only, operator and administrator are built in; others give the highest of these that they have the permission for.",
    list_methods=frozenset({Method.GET, Method.POST}),
    detail_methods=ONE,
    fields=(
        ID,
        required_text("name", "The name of the role.", most=250, unique=True),
        many("permissions", "What the role gives.", "permission"),
        RESOURCE_URI,
    ),
)

OAUTH2_CLIENT: Final = Resource(
    namespace=Namespace.CONFIGURATION,
    name="oauth2_client",
    title="OAuth2 client",
    help="Programs that sign in with a key of their own. The private key is in the answer to the creation, and nowhere else.",
    gives_access=True,
    shown_once=("private_key_jwt",),
    shown_on_creation=True,
    list_methods=frozenset({Method.GET, Method.POST, Method.DELETE}),
    detail_methods=ONE,
    fields=(
        ID,
        shown("client_id", "The identifier that the program signs in with."),
        required_text("client_name", "The name of the client.", most=CLIENT_NAME_MAX, unique=True),
        one("role", "What the client may do.", "role", required=True),
        Field(
            name="private_key_jwt",
            kind=Kind.STRING,
            help="The private key in PEM: only in the answer to the creation.",
            readonly=True,
            nullable=True,
            default=None,
        ),
        RESOURCE_URI,
    ),
)
