"""Resources of a conferencing platform that Certcast has none of: always empty, and truthfully so (the contract's section 20)."""

from typing import Final

from manager.infinity_api.contract.description import (
    ALL_LOOKUPS,
    ID,
    RESOURCE_URI,
    Field,
    Kind,
    Method,
    Namespace,
    Resource,
)

_LOOK: Final = frozenset({Method.GET})


def _fields(*names: str, kind: Kind = Kind.STRING) -> tuple[Field, ...]:
    return tuple(
        Field(
            name=name,
            kind=kind,
            help="About what is not kept here.",
            readonly=True,
            nullable=kind is Kind.DATETIME,
            filtering=ALL_LOOKUPS,
            orderable=True,
        )
        for name in names
    )


def _none(namespace: Namespace, name: str, title: str, *fields: Field) -> Resource:
    return Resource(
        namespace=namespace,
        name=name,
        title=title,
        help="There are none here; the list is always empty.",
        list_methods=_LOOK,
        detail_methods=_LOOK,
        fields=(ID, *fields, RESOURCE_URI),
    )


_TIMES: Final = _fields("start_time", "end_time", kind=Kind.DATETIME)

EMPTY: Final = (
    _none(
        Namespace.CONFIGURATION,
        "conference",
        "Conference",
        *_fields("name", "description", "service_type", "tag"),
    ),
    _none(
        Namespace.STATUS,
        "conference",
        "Running conference",
        *_fields("name", "service_type", "tag"),
        *_fields("start_time", kind=Kind.DATETIME),
    ),
    _none(
        Namespace.STATUS,
        "conference_shard",
        "Conference shard",
        *_fields("conference_name", "node_id"),
    ),
    _none(
        Namespace.STATUS,
        "participant",
        "Participant",
        *_fields("display_name", "conference", "call_direction", "protocol", "role", "system_location"),
        *_fields("connect_time", kind=Kind.DATETIME),
    ),
    _none(
        Namespace.STATUS,
        "registration_alias",
        "Registered alias",
        *_fields("alias", "protocol"),
    ),
    _none(
        Namespace.HISTORY,
        "conference",
        "Past conference",
        *_fields("name", "service_type", "tag"),
        *_TIMES,
        *_fields("duration", kind=Kind.INTEGER),
    ),
    _none(
        Namespace.HISTORY,
        "participant",
        "Past participant",
        *_fields("display_name", "conference_name", "call_direction", "protocol", "role"),
        *_TIMES,
        *_fields("duration", kind=Kind.INTEGER),
    ),
)
"""Resources without objects."""

LICENCES: Final = ("audio", "port", "system", "vmr", "teams", "ghm", "otj", "scheduling", "telehealth")

LICENSING: Final = Resource(
    namespace=Namespace.STATUS,
    name="licensing",
    title="Licensing",
    help="Nothing is licensed here: one object of zeros.",
    list_methods=_LOOK,
    detail_methods=_LOOK,
    fields=(
        ID,
        *_fields(*(f"{name}_{what}" for name in LICENCES for what in ("count", "total")), kind=Kind.INTEGER),
        *_fields("customlayouts_active", kind=Kind.BOOLEAN),
        RESOURCE_URI,
    ),
)
