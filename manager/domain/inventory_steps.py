"""Steps from one inventory to the next: what may differ, so that whoever looked at one need not look at all of a later one.

Pure. Invariant: what is not known to be all of it is None.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from common.ids import CertificateId, NodeName

STEPS_MAX: Final = 100
"""Steps that an inventory remembers: whoever looks less often looks at everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryStep:
    """What may differ: these certificates, what is known of these nodes, and the trust store. `serial` is that of the inventory before."""

    serial: int
    numbers: AbstractSet[CertificateId] = frozenset()
    names: AbstractSet[NodeName] = frozenset()
    has_other_trust: bool = False


def leading_from(serial: int, steps: Sequence[InventoryStep]) -> InventoryStep | None:
    """Return the steps from that of an inventory on as one; None if it is not among those before them."""
    start = next((index for index, step in enumerate(steps) if step.serial == serial), None)
    if start is None:
        return None
    taken = steps[start:]
    return InventoryStep(
        serial=serial,
        numbers=frozenset(number for step in taken for number in step.numbers),
        names=frozenset(name for step in taken for name in step.names),
        has_other_trust=any(step.has_other_trust for step in taken),
    )
