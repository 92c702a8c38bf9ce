"""Steps from one inventory to the next: the possible differences, so that readers need to process only these.

Pure. Invariant: None stands for differences that are not completely known.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from common.ids import CertificateId, NodeName

STEPS_MAX: Final = 100
"""Steps that an inventory remembers; a reader that missed more reads everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryStep:
    """Possible differences: these certificates, these nodes, and the trust store.

    `serial` is the previous inventory's.
    """

    serial: int
    numbers: AbstractSet[CertificateId] = frozenset()
    names: AbstractSet[NodeName] = frozenset()
    has_other_trust: bool = False


def leading_from(serial: int, steps: Sequence[InventoryStep]) -> InventoryStep | None:
    """Return all steps since the inventory with this serial, as one; None if it is not remembered."""
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
