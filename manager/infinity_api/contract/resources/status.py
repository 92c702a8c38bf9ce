"""Status resources: alarms, and the state of nodes and locations (the contract's sections 1.7, 1.8 and 20)."""

from typing import Final

from manager.infinity_api.contract.alarms import SPELLINGS
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


def _shown(name: str, help_text: str, *, kind: Kind = Kind.STRING, nullable: bool = False) -> Field:
    return Field(
        name=name,
        kind=kind,
        help=help_text,
        readonly=True,
        nullable=nullable,
        filtering=ALL_LOOKUPS,
        orderable=True,
    )


def _moment(name: str, help_text: str, *, left_out: bool = False) -> Field:
    return Field(
        name=name,
        kind=Kind.DATETIME,
        help=help_text,
        readonly=True,
        nullable=True,
        filtering=ALL_LOOKUPS,
        orderable=True,
        precise=True,
        left_out=left_out,
    )


def _zero(name: str) -> Field:
    return _shown(name, "Not known here, and always 0.", kind=Kind.INTEGER)


def _read_only(namespace: Namespace, name: str, title: str, *fields: Field) -> Resource:
    return Resource(
        namespace=namespace,
        name=name,
        title=title,
        list_methods=_LOOK,
        detail_methods=_LOOK,
        fields=(ID, *fields, RESOURCE_URI),
    )


_ALARM: Final = (
    _shown("identifier", "The number of the kind of alarm.", kind=Kind.INTEGER),
    Field(
        name="name",
        help="The name of the kind of alarm, as monitoring add-ons filter by it.",
        readonly=True,
        filtering=ALL_LOOKUPS,
        orderable=True,
        spellings=SPELLINGS,
    ),
    _shown("summary", "What is wrong, in words."),
    _shown("level", "How bad it is: critical, error, warning or info."),
    _shown("details", "What exactly is wrong, and where."),
    _shown("instance", "What the alarm is about."),
    _shown("node", "The address of the node that it is about, if it is about one."),
)

ALARM: Final = _read_only(
    Namespace.STATUS,
    "alarm",
    "Alarm",
    *_ALARM,
    _shown("acknowledged", "Whether somebody has seen it.", kind=Kind.BOOLEAN),
    _moment("time_raised", "When it was raised."),
)

ALARM_HISTORY: Final = _read_only(
    Namespace.HISTORY,
    "alarm",
    "Alarm, past or present",
    *_ALARM,
    _moment("time_raised", "When it was raised."),
    _moment("time_lowered", "When it was lowered."),
)

_NODE: Final = (
    _shown("configuration_id", "The id of the node's configuration.", kind=Kind.INTEGER),
    _shown("name", "The name of the node."),
    _shown("version", "The version of the software on the node."),
    _shown(
        "sync_status", "SYNCED, SYNCING, PENDING, FAILED, OFFLINE or NOT_JOINED, as the node itself reported."
    ),
    _shown("upgrade_status", "Always IDLE: nodes are not upgraded from here."),
)

_CONTACT: Final = (
    ("last_attempted_contact", "When the node was last heard of or pushed to."),
    ("last_updated", "When the node last applied what it should have."),
)

WORKER_STATUS: Final = _read_only(
    Namespace.STATUS,
    "worker_vm",
    "State of a Conferencing Node",
    *_NODE,
    # an older client fails at null there, and with it at the list of all nodes
    *(_moment(name, text, left_out=True) for name, text in _CONTACT),
    _moment("last_reported", "When the node last reported its state.", left_out=True),
    _shown("node_type", "The node's role."),
    _shown("system_location", "The name of the node's location."),
    _moment("boot_time", "When the node started; not known here."),
    _shown("deploy_status", "Whether the node has joined."),
    _shown("maintenance_mode", "Whether the node is in maintenance.", kind=Kind.BOOLEAN),
    _shown("maintenance_mode_reason", "Why."),
    *(
        _shown(name, "Not known here, and always empty.")
        for name in ("hypervisor", "cpu_capabilities", "cpu_model")
    ),
    *(
        _zero(name)
        for name in (
            "cpu_count",
            "total_ram",
            "max_audio_calls",
            "max_sd_calls",
            "max_hd_calls",
            "max_full_hd_calls",
            "max_direct_participants",
            "max_media_tokens",
            "media_tokens_used",
            "media_load",
            "signaling_count",
        )
    ),
)

MANAGEMENT_STATUS: Final = _read_only(
    Namespace.STATUS,
    "management_vm",
    "State of the Management Node",
    *_NODE,
    *(_moment(name, text) for name, text in _CONTACT),
    _shown("primary", "Whether this is the active Management Node.", kind=Kind.BOOLEAN),
)

LOCATION_STATUS: Final = _read_only(
    Namespace.STATUS,
    "system_location",
    "State of a system location",
    _shown("name", "The name of the location."),
    _shown("description", "Its description."),
    _shown("total_nodes", "The number of its nodes.", kind=Kind.INTEGER),
    _shown("active_nodes", "The number of its nodes that are connected.", kind=Kind.INTEGER),
    *(
        _zero(name)
        for name in (
            "active_calls",
            "max_audio_calls",
            "max_sd_calls",
            "max_hd_calls",
            "max_full_hd_calls",
            "max_direct_participants",
            "max_media_tokens",
            "media_tokens_used",
            "media_load",
        )
    ),
)
