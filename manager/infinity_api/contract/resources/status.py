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
from manager.infinity_api.contract.resources.fields import shown

_LOOK: Final = frozenset({Method.GET})


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
    return shown(name, "Not known here, and always 0.", kind=Kind.INTEGER)


_LOAD: Final = tuple(
    _zero(name)
    for name in (
        "max_audio_calls",
        "max_sd_calls",
        "max_hd_calls",
        "max_full_hd_calls",
        "max_direct_participants",
        "max_media_tokens",
        "media_tokens_used",
        "media_load",
    )
)


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
    shown("identifier", "The number of the kind of alarm.", kind=Kind.INTEGER),
    Field(
        name="name",
        help="The name of the kind of alarm, as monitoring add-ons filter by it.",
        readonly=True,
        filtering=ALL_LOOKUPS,
        orderable=True,
        spellings=SPELLINGS,
    ),
    shown("summary", "What is wrong, in words."),
    shown("level", "How bad it is: critical, error, warning or info."),
    shown("details", "What exactly is wrong, and where."),
    shown("instance", "What the alarm is about."),
    shown("node", "The address of the node that it is about, if it is about one."),
)

ALARM: Final = _read_only(
    Namespace.STATUS,
    "alarm",
    "Alarm",
    *_ALARM,
    shown("acknowledged", "Whether somebody has seen it.", kind=Kind.BOOLEAN),
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
    shown("configuration_id", "The id of the node's configuration.", kind=Kind.INTEGER),
    shown("name", "The name of the node."),
    shown("version", "The version of the software on the node."),
    shown(
        "sync_status", "SYNCED, SYNCING, PENDING, FAILED, OFFLINE or NOT_JOINED, as the node itself reported."
    ),
    shown("upgrade_status", "Always IDLE: nodes are not upgraded from here."),
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
    shown("node_type", "The node's role."),
    shown("system_location", "The name of the node's location."),
    _moment("boot_time", "When the node started; not known here."),
    shown("deploy_status", "Whether the node has joined."),
    shown("maintenance_mode", "Whether the node is in maintenance.", kind=Kind.BOOLEAN),
    shown("maintenance_mode_reason", "Why."),
    *(
        shown(name, "Not known here, and always empty.")
        for name in ("hypervisor", "cpu_capabilities", "cpu_model")
    ),
    _zero("cpu_count"),
    _zero("total_ram"),
    *_LOAD,
    _zero("signaling_count"),
)

MANAGEMENT_STATUS: Final = _read_only(
    Namespace.STATUS,
    "management_vm",
    "State of the Management Node",
    *_NODE,
    *(_moment(name, text) for name, text in _CONTACT),
    shown("primary", "Whether this is the active Management Node.", kind=Kind.BOOLEAN),
)

LOCATION_STATUS: Final = _read_only(
    Namespace.STATUS,
    "system_location",
    "State of a system location",
    shown("name", "The name of the location."),
    shown("description", "Its description."),
    shown("total_nodes", "The number of its nodes.", kind=Kind.INTEGER),
    shown("active_nodes", "The number of its nodes that are connected.", kind=Kind.INTEGER),
    _zero("active_calls"),
    *_LOAD,
)
