"""Permissions of the management API's roles, and the level that they give.

Decides what a role of the existing clients is worth here: Certcast knows three levels, each of which includes
the one before. Invariant: a role never gives more than the highest of its permissions.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from common.codes import Role

PROVISION: Final = "provision"
"""Permission to obtain join tokens. No level includes it, because a joining node receives its private keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """A permission, and the level that it gives. Ids are part of the API and never change."""

    id: int
    codename: str
    name: str
    level: Role


PERMISSIONS: Final = (
    Permission(id=1, codename="use_api", name="May use API", level=Role.READ_ONLY),
    Permission(id=2, codename="operate", name="May push and acknowledge alarms", level=Role.OPERATOR),
    Permission(id=3, codename="is_admin", name="Is administrator", level=Role.ADMINISTRATOR),
    Permission(
        id=4, codename=PROVISION, name="Is administrator and may obtain join tokens", level=Role.ADMINISTRATOR
    ),
)
"""All permissions, the highest last."""


def level_of(codenames: Collection[str]) -> Role | None:
    """Return the level that permissions give together; None if they give none."""
    given = [each.level for each in PERMISSIONS if each.codename in codenames]
    return given[-1] if given else None
