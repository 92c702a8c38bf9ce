"""All alarm kinds, and the conditions that they find now.

Invariants: each kind is listed once; a number is never reused.
"""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from common.ids import CertificateId, NodeName
from manager.domain.alarms import (
    audit_log_broken,
    ca_expired,
    ca_expiring,
    certificate_expired,
    certificate_expiring,
    certificate_held_out,
    certificate_refused,
    chain_incomplete,
    client_ca_list_too_long,
    clock_skew,
    conflict,
    drifted,
    duplicate_identity,
    evaluation_silent,
    install_failed,
    key_replaced,
    manager_token_reused,
    must_staple_unproven,
    name_mismatch,
    no_certificate,
    node_floods,
    not_serving,
    offline,
    out_of_sync,
    renewal_failed,
    renewal_overdue,
    renewal_proof_left,
    renewal_requested,
    renewal_stopped,
    renewal_unserved,
    services_invalid,
    trusted_ca_held_out,
)
from manager.domain.alarms.kinds import AlarmKind, AlarmSpec, Condition, Stored
from manager.domain.inventory import Entry, Inventory
from manager.domain.view import NodeView

ALARM_SPECS: Final[Mapping[AlarmKind, AlarmSpec]] = MappingProxyType(
    {
        spec.kind: spec
        for spec in (
            no_certificate.SPEC,
            chain_incomplete.SPEC,
            certificate_expiring.SPEC,
            certificate_expired.SPEC,
            ca_expiring.SPEC,
            ca_expired.SPEC,
            out_of_sync.SPEC,
            not_serving.SPEC,
            install_failed.SPEC,
            drifted.SPEC,
            offline.SPEC,
            conflict.SPEC,
            clock_skew.SPEC,
            evaluation_silent.SPEC,
            name_mismatch.SPEC,
            duplicate_identity.SPEC,
            services_invalid.SPEC,
            must_staple_unproven.SPEC,
            trusted_ca_held_out.SPEC,
            client_ca_list_too_long.SPEC,
            certificate_held_out.SPEC,
            audit_log_broken.SPEC,
            key_replaced.SPEC,
            node_floods.SPEC,
            certificate_refused.SPEC,
            manager_token_reused.SPEC,
            renewal_failed.SPEC,
            renewal_overdue.SPEC,
            renewal_unserved.SPEC,
            renewal_requested.SPEC,
            renewal_stopped.SPEC,
            renewal_proof_left.SPEC,
        )
    }
)


def conditions_of_inventory(
    inventory: Inventory,
    *,
    republished: Mapping[NodeName, Entry],
    now_s: float,
    numbers: Collection[CertificateId] | None = None,
    names: Collection[NodeName] | None = None,
) -> list[Condition]:
    """Return the conditions of these certificates, these nodes' assignments, and all trusted CAs.

    None stands for all. See "Alarms" in the specification. `republished` are the certificates that nodes
    serve instead of the assigned ones, because older content was republished.
    """
    entries, nodes = inventory.entries, inventory.nodes
    stored = Stored(
        inventory=inventory,
        entries=entries.values()
        if numbers is None
        else [entries[each] for each in numbers if each in entries],
        nodes=nodes if names is None else [each for each in names if each in nodes],
        republished=republished,
        now_s=int(now_s),
    )
    return [
        condition
        for spec in ALARM_SPECS.values()
        if spec.in_store is not None
        for condition in spec.in_store(stored)
    ]


def conditions_of_nodes(views: Iterable[NodeView]) -> list[Condition]:
    """Return the conditions of these nodes."""
    return [
        condition
        for view in views
        for spec in ALARM_SPECS.values()
        if spec.on_node is not None
        for condition in spec.on_node(view)
    ]
