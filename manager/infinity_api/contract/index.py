"""All resources together, and which of them a path means.

Decides the six roots and the sub-paths of a resource. Leaves methods to `errors.check_method`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from manager.infinity_api.contract.description import Namespace, Resource, root_path
from manager.infinity_api.contract.resources.access import OAUTH2_CLIENT, PERMISSION, ROLE
from manager.infinity_api.contract.resources.certificates import (
    CA_CERTIFICATE,
    CERTIFICATE_SIGNING_REQUEST,
    CERTIFICATES_IMPORT,
    TLS_CERTIFICATE,
)
from manager.infinity_api.contract.resources.conferencing import EMPTY, LICENSING
from manager.infinity_api.contract.resources.nodes import MANAGEMENT_VM, SYSTEM_LOCATION, WORKER_VM
from manager.infinity_api.contract.resources.platform import GLOBAL
from manager.infinity_api.contract.resources.small import SMALL
from manager.infinity_api.contract.resources.status import (
    ALARM,
    ALARM_HISTORY,
    LOCATION_STATUS,
    MANAGEMENT_STATUS,
    WORKER_STATUS,
)

RESOURCES: Final = (
    TLS_CERTIFICATE,
    CA_CERTIFICATE,
    CERTIFICATE_SIGNING_REQUEST,
    WORKER_VM,
    MANAGEMENT_VM,
    SYSTEM_LOCATION,
    *SMALL,
    GLOBAL,
    OAUTH2_CLIENT,
    ROLE,
    PERMISSION,
    ALARM,
    WORKER_STATUS,
    MANAGEMENT_STATUS,
    LOCATION_STATUS,
    LICENSING,
    ALARM_HISTORY,
    *EMPTY,
    CERTIFICATES_IMPORT,
)

ROOTS: Final = (
    root_path(Namespace.COMMAND, "conference"),
    root_path(Namespace.COMMAND, "participant"),
    root_path(Namespace.COMMAND, "platform"),
    root_path(Namespace.CONFIGURATION),
    root_path(Namespace.HISTORY),
    root_path(Namespace.STATUS),
)
"""The command-line client reads all six, and does not work without one of them."""

BY_PATH: Final[Mapping[str, Resource]] = MappingProxyType(
    {path: resource for resource in RESOURCES for path in (resource.path, *resource.aliases)}
)

_SET: Final = re.compile(r"set/(?P<ids>[^/]*)/")
_ONE: Final = re.compile(r"(?P<id>[^/]+)/")
_STATISTICS: Final = re.compile(r"(?P<id>[^/]+)/statistics/")


class Part(StrEnum):
    """The part of a resource that a path denotes."""

    ROOT = "root"
    COLLECTION = "collection"
    COMMAND = "command"
    SCHEMA = "schema"
    SET = "set"
    OBJECT = "object"
    STATISTICS = "statistics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a path means.

    `resource` is None for a root; `text` is the root's path, an id or the ids, as they came.
    """

    part: Part
    resource: Resource | None = None
    text: str = ""


def find(path: str) -> Target | None:
    """Return what a path (from its first slash, without a query) means; None if nothing here has it.

    A doubled first slash and a missing last one are forgiven.
    """
    whole = "/" + path.lstrip("/").rstrip("/") + "/"
    if whole in ROOTS:
        return Target(part=Part.ROOT, text=whole)
    if whole in BY_PATH:
        found = BY_PATH[whole]
        return Target(part=Part.COMMAND if found.is_command else Part.COLLECTION, resource=found)
    for start, resource in BY_PATH.items():
        if whole.startswith(start):
            return _below(resource, whole.removeprefix(start))
    return None


def _below(resource: Resource, rest: str) -> Target | None:
    if rest == "schema/":
        return Target(part=Part.SCHEMA, resource=resource)
    if resource.is_command:
        return None
    if several := _SET.fullmatch(rest):
        return Target(part=Part.SET, resource=resource, text=several["ids"])
    if resource is WORKER_STATUS and (node := _STATISTICS.fullmatch(rest)):
        return Target(part=Part.STATISTICS, resource=resource, text=node["id"])
    if one := _ONE.fullmatch(rest):
        return Target(part=Part.OBJECT, resource=resource, text=one["id"])
    return None
