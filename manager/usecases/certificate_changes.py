"""Results of certificate changes: the stored entries, and everything that their answers are built from.

Invariant: each has the inventory that the change left, so an answer reads nothing that was deleted since.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import PkiError
from manager.domain.consequences import Consequence
from manager.domain.inventory import Inventory
from manager.domain.model import CertificateRecord, TrustedCaRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """Result of an upload: the entry, whether it is new, the consequences, and the new inventory."""

    record: CertificateRecord
    created: bool
    consequences: Sequence[Consequence]
    inventory: Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """Result of an import: each entry with whether it is new.

    `left_out` are findings about rejected material.

    `consequences` concern nodes and clients, `warnings` the trusted CAs; `inventory` contains all entries.
    """

    tls: Sequence[tuple[CertificateRecord, bool]]
    trusted_cas: Sequence[tuple[TrustedCaRecord, bool]]
    left_out: Sequence[PkiError]
    consequences: Sequence[Consequence]
    warnings: Sequence[str]
    inventory: Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """Result of an edit: the entry, the consequences, and the new inventory."""

    record: CertificateRecord
    consequences: Sequence[Consequence]
    inventory: Inventory
