"""All kinds of alarms, and what of them is found now.

Invariants: each kind is here once; a number is never used again.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from common.ids import NodeName
from manager.domain.alarms import (
    audit_log_broken,
    ca_expired,
    ca_expiring,
    certificate_expired,
    certificate_expiring,
    certificate_held_out,
    chain_incomplete,
    client_ca_list_too_long,
    clock_skew,
    conflict,
    drifted,
    duplicate_identity,
    evaluation_silent,
    install_failed,
    key_replaced,
    must_staple_unproven,
    name_mismatch,
    no_certificate,
    node_floods,
    not_serving,
    offline,
    out_of_sync,
    services_invalid,
    trusted_ca_held_out,
)
from manager.domain.alarms.kinds import AlarmKind, Condition, Stored, Trait
from manager.domain.inventory import Entry, Inventory
from manager.domain.view import NodeView

TRAITS: Final[Mapping[AlarmKind, Trait]] = MappingProxyType(
    {
        trait.kind: trait
        for trait in (
            no_certificate.TRAIT,
            chain_incomplete.TRAIT,
            certificate_expiring.TRAIT,
            certificate_expired.TRAIT,
            ca_expiring.TRAIT,
            ca_expired.TRAIT,
            out_of_sync.TRAIT,
            not_serving.TRAIT,
            install_failed.TRAIT,
            drifted.TRAIT,
            offline.TRAIT,
            conflict.TRAIT,
            clock_skew.TRAIT,
            evaluation_silent.TRAIT,
            name_mismatch.TRAIT,
            duplicate_identity.TRAIT,
            services_invalid.TRAIT,
            must_staple_unproven.TRAIT,
            trusted_ca_held_out.TRAIT,
            client_ca_list_too_long.TRAIT,
            certificate_held_out.TRAIT,
            audit_log_broken.TRAIT,
            key_replaced.TRAIT,
            node_floods.TRAIT,
        )
    }
)


def conditions_of_inventory(
    inventory: Inventory, *, republished: Mapping[NodeName, Entry], now_s: float
) -> list[Condition]:
    """Return what is wrong with certificates, trusted CAs and assignments (the specification's "Alarms").

    `republished` are the certificates that nodes are to serve by older content that stands in for what is assigned.
    """
    stored = Stored(inventory=inventory, republished=republished, now_s=int(now_s))
    return [
        condition
        for trait in TRAITS.values()
        if trait.in_store is not None
        for condition in trait.in_store(stored)
    ]


def conditions_of_nodes(views: Iterable[NodeView]) -> list[Condition]:
    """Return what is wrong with nodes."""
    return [
        condition
        for view in views
        for trait in TRAITS.values()
        if trait.on_node is not None
        for condition in trait.on_node(view)
    ]
