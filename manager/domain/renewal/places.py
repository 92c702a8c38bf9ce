"""Places of challenges: the nodes that a CA may reach for a name.

Decides by the nodes' certificates and names. Pure. Invariant: all candidate nodes are included, since any of
those behind a load balancer may be asked.
"""

from collections.abc import Collection, Iterable, Mapping

from common.ids import NodeName
from manager.domain.inventory import Inventory
from manager.domain.renewal.records import RenewalId, RenewalRecord
from manager.pki.judge.lint import covers


def nodes_asked(
    inventory: Inventory, names: Iterable[str], expecting: Mapping[NodeName, Collection[str]]
) -> Mapping[str, frozenset[NodeName]]:
    """Return, by name, the nodes with that name, with a certificate for it, or about to get one.

    `expecting` are names of first certificates that are being ordered, by node. Unknown names have no nodes.
    """
    wanted = {name: _plain(name) for name in names}
    found: dict[str, set[NodeName]] = {name: set() for name in wanted}
    for entry in inventory.entries.values():
        if entry.places:
            for name in wanted:
                if covers(entry.leaf, name):
                    found[name].update(place.node for place in entry.places)
    own = {
        record.name: {_plain(each) for each in (*record.client_names, *record.addresses)}
        for record in inventory.nodes.values()
    }
    for node, known in (*own.items(), *((node, set(map(_plain, each))) for node, each in expecting.items())):
        for name, plain in wanted.items():
            if plain in known and node in inventory.nodes:
                found[name].add(node)
    return {name: frozenset(nodes) for name, nodes in found.items()}


def expected(
    renewals: Iterable[RenewalRecord], ordering: Collection[RenewalId]
) -> Mapping[NodeName, frozenset[str]]:
    """Return, by node, the names of ordered or planned first certificates.

    `ordering` have an unfinished order.
    """
    found: dict[NodeName, frozenset[str]] = {}
    for each in renewals:
        # a renewal that was only set up and tested does not affect others
        if each.is_new and each.terms is not None and (not each.is_paused or each.id in ordering):
            for node in each.nodes:
                found[node] = found.get(node, frozenset()).union(each.terms.names)
    return found


def _plain(name: str) -> str:
    return name.lower().rstrip(".")
