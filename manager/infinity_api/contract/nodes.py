"""Nodes as the management API shows them, and the changes that a client's description makes to a node.

Decides which of a node's many fields Certcast itself uses (names, addresses, slots), and how a freely chosen
name becomes a node's name. The operations store it. Invariant: a node's own name never changes once it
exists; nothing secret is stored with the node.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from common.api.codes import State
from common.bundle.manifest import Slot
from common.errors import InvalidInputError
from common.ids import NODE_NAME_MAX, CertificateId, NodeName, node_name
from manager.domain.brief import NodeBrief
from manager.domain.model import NodeDescription, NodeRecord
from manager.infinity_api.contract.description import Resource, Values
from manager.infinity_api.contract.errors import ValuesError

SLOT_FIELDS: Final[Mapping[str, Slot]] = MappingProxyType(
    {"tls_certificate": "server", "tls_client_certificate": "client"}
)
_UNFIT: Final = re.compile(r"[^a-z0-9.-]+")
_SYNC: Final[Mapping[State, str]] = MappingProxyType(
    {
        "in_sync": "SYNCED",
        "installing": "SYNCING",
        "pending": "PENDING",
        "reload_waiting": "PENDING",
        "scheduled": "PENDING",
        "failed": "FAILED",
        "drifted": "FAILED",
        "not_serving": "FAILED",
        "conflict": "FAILED",
        "offline": "OFFLINE",
        "never_joined": "NOT_JOINED",
    }
)


def names_called(records: Iterable[NodeRecord]) -> Mapping[NodeName, str]:
    """Return the name of each node in the contract's `nodes` field.

    Its FQDN, or its own name if another has that FQDN.
    """
    known = {record.name: _fqdn(record) for record in records}
    often = Counter(name.lower() for name in known.values())
    return {own: own if often[name.lower()] > 1 else name for own, name in known.items()}


def nodes_called(resource: Resource, texts: Iterable[str], records: Iterable[NodeRecord]) -> list[NodeName]:
    """Return the nodes that have these FQDNs, or names.

    Raises ValuesError with every one that no node has, or several.

    An FQDN goes before a name that a node was given, and both before the other names that clients know it by:
    several nodes may share one of those, and it may be another node's FQDN.
    """
    known = _by_name(records)
    found: dict[NodeName, None] = {}
    wrong: list[str] = []
    for text in (each.strip().lower().removesuffix(".") for each in texts):
        match next((names[text] for names in known if text in names), []):
            case []:
                wrong.append(f"There is no node '{text[:80]}'.")
            case [one]:
                found[one] = None
            case several:
                wrong.append(f"'{text[:80]}' is the name of several nodes: {', '.join(several[:5])}.")
    if wrong:
        raise ValuesError(resource.name, {"nodes": wrong})
    return list(found)


def _by_name(records: Iterable[NodeRecord]) -> tuple[Mapping[str, list[NodeName]], ...]:
    """Return the nodes by their FQDNs, by the names that they were given, and by their other names, in lower case."""
    known: tuple[dict[str, list[NodeName]], ...] = ({}, {}, {})
    for record in records:
        given = [record.name, str(record.detail.get("name", ""))]
        for names, wanted in zip(known, ([_fqdn(record)], given, record.names), strict=True):
            for name in {each.lower() for each in wanted if each}:
                names.setdefault(name, []).append(record.name)
    return known


def _fqdn(record: NodeRecord) -> str:
    return record.names[0] if record.names else record.name


def new_name(values: Values, taken: Collection[NodeName]) -> NodeName:
    """Return the node's name for a new node: from its name, or if another has that, from its FQDN.

    Raises InvalidInputError.
    """
    candidates = [str(values["name"]), f"{values['hostname']}.{values['domain']}"]
    for text in candidates:
        fit = _UNFIT.sub("-", text.lower())
        fit = re.sub(r"\.{2,}", ".", fit)[:NODE_NAME_MAX].strip(".-")
        if fit and fit not in taken:
            return node_name(fit)
    raise InvalidInputError(
        "name", "A node with a name that differs only in case or punctuation already exists."
    )


def kept_values(resource: Resource, row: Mapping[str, Any]) -> Values:
    """Return those values of a node's row that are kept with it; its certificates are not."""
    kept = {field.name for field in resource.writable if not field.secret and field.name not in SLOT_FIELDS}
    return {
        name: value
        for name, value in row.items()
        if name in kept or (resource.keeps_more and name not in resource.by_name and "__" not in name)
    }


def describe(
    resource: Resource, values: Values, *, known: NodeRecord | None = None, before: Values | None = None
) -> NodeDescription:
    """Return what becomes of a node that has all of these values; its slots are those among them.

    Of a known node, `before` is what it had: names and addresses that its fields did not say stay, and so do
    all if there would be none, because join tokens are made of the management node's.
    """
    names, addresses = _names(values), _addresses(values)
    if known is not None and before is not None:
        more_names = tuple(name for name in known.names if name not in _names(before))
        more_addresses = tuple(text for text in known.addresses if text not in _addresses(before))
        names = (*names, *more_names) if names else known.names
        addresses = (*addresses, *more_addresses) if addresses else known.addresses
    return NodeDescription(
        names=tuple(dict.fromkeys(names)),
        addresses=tuple(dict.fromkeys(addresses)),
        detail=kept_values(resource, values),
        slots={slot: _certificate(values[name]) for name, slot in SLOT_FIELDS.items() if name in values},
    )


def _names(values: Values) -> tuple[str, ...]:
    host, domain = str(values["hostname"]).lower(), str(values["domain"]).lower()
    own = f"{host}.{domain}" if host and domain else host
    return tuple(name for name in (own, str(values["alternative_fqdn"]).lower()) if name)


def _addresses(values: Values) -> tuple[str, ...]:
    fields = ("address", "ipv6_address", "secondary_address", "static_nat_address")
    return tuple(str(values[name]) for name in fields if values.get(name))


def node_row(
    resource: Resource,
    record: NodeRecord,
    slots: Mapping[tuple[NodeName, Slot], int],
    locations: Mapping[int, str],
) -> dict[str, object]:
    """Return a node as a row of worker_vm or management_vm."""
    host, _, domain = _fqdn(record).partition(".")
    row: dict[str, object] = {field.name: field.initial for field in resource.writable if not field.secret}
    row |= {
        "name": record.name,
        "hostname": host,
        "domain": domain,
        "address": record.addresses[0] if record.addresses else "",
        "alternative_fqdn": record.names[1] if len(record.names) > 1 else "",
    }
    row |= {
        name: value
        for name, value in record.detail.items()
        if resource.keeps_more or name in resource.by_name
    }
    row |= {name: slots.get((record.name, slot)) for name, slot in SLOT_FIELDS.items()}
    location = _number(row.get("system_location"))
    row["system_location__name"] = None if location is None else locations.get(location)
    fixed = {"id": record.id, "primary": True, "initializing": False}
    return row | {name: value for name, value in fixed.items() if name in resource.by_name}


def status_row(record: NodeRecord, brief: NodeBrief, location: str | None) -> dict[str, object]:
    """Return the state of a node as a row of the status resources, as the node itself reported."""
    push = brief.push
    if push is not None and push.result == "applied":
        updated_s = push.concluded_at_s
    else:
        # no push is known, or it was not applied: what is known is that the last report said so
        updated_s = brief.last_report_at_s if brief.state == "in_sync" else None
    contacts = [moment for moment in (brief.last_report_at_s, push.offered_at_s if push else None) if moment]
    detail = record.detail
    return {
        "id": record.id,
        "configuration_id": record.id,
        "name": detail.get("name") or record.name,
        "version": brief.agent_version,
        "last_attempted_contact": max(contacts, default=None),
        "last_updated": updated_s,
        "last_reported": brief.last_report_at_s,
        "sync_status": _SYNC[brief.state],
        "upgrade_status": "IDLE",
        "node_type": detail.get("node_type", "CONFERENCING"),
        "system_location": location or "",
        "boot_time": None,
        "deploy_status": "DEPLOYED" if brief.joined else "PENDING",
        "maintenance_mode": bool(detail.get("maintenance_mode", False)),
        "maintenance_mode_reason": detail.get("maintenance_mode_reason", ""),
        "primary": True,
    }


def _certificate(value: object) -> CertificateId | None:
    number = _number(value)
    return None if number is None else CertificateId(number)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
