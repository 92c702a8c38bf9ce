"""Results of changes to certificates: what was kept, and what its answer is made of.

Invariant: each has the inventory that the change left, so nothing is read for an answer that somebody may have deleted since.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import PkiError
from manager.domain.consequences import Consequence
from manager.domain.inventory import Inventory
from manager.domain.model import CertificateRecord, TrustedCaRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """What came of an upload: the entry, whether it is a new one, what followed for nodes and clients, and the inventory with it."""

    record: CertificateRecord
    created: bool
    consequences: Sequence[Consequence]
    inventory: Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """What came of an import: each entry, and whether it is a new one; `left_out` are findings about what was not taken.

    `consequences` are what followed for nodes and clients, `warnings` what is wrong with the trusted CAs; `inventory` has all of it.
    """

    tls: Sequence[tuple[CertificateRecord, bool]]
    trusted_cas: Sequence[tuple[TrustedCaRecord, bool]]
    left_out: Sequence[PkiError]
    consequences: Sequence[Consequence]
    warnings: Sequence[str]
    inventory: Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What came of an edit: the entry, what followed for nodes and clients, and the inventory with it."""

    record: CertificateRecord
    consequences: Sequence[Consequence]
    inventory: Inventory
