"""Places of challenges: which nodes a CA may reach when it asks for a name.

Decides by what nodes serve and are called. Pure. Invariant: behind a load balancer any of several nodes is asked, so all of them count.
"""

from collections.abc import Collection, Iterable, Mapping

from common.ids import NodeName
from manager.domain.inventory import Inventory
from manager.domain.renewal.records import RenewalId, RenewalRecord
from manager.pki.judge.lint import covers


def nodes_asked(
    inventory: Inventory, names: Iterable[str], expecting: Mapping[NodeName, Collection[str]]
) -> Mapping[str, frozenset[NodeName]]:
    """Return, by name, the nodes that serve it: a certificate of theirs has it, or they are called so, or are about to be given such a certificate.

    `expecting` are the names for which a certificate is being ordered that these nodes do not have yet. Names of nobody have none.
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
    """Return, by node, the names for which its first certificate is being ordered, or will be; `ordering` have an order that is not over."""
    found: dict[NodeName, frozenset[str]] = {}
    for each in renewals:
        # what somebody set up, tried and left keeps nobody else from ordering
        if each.is_new and each.terms is not None and (not each.is_paused or each.id in ordering):
            for node in each.nodes:
                found[node] = found.get(node, frozenset()).union(each.terms.names)
    return found


def _plain(name: str) -> str:
    return name.lower().rstrip(".")
