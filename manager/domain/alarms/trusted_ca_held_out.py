"""A trusted CA left out of the nodes' trust store, because OpenSSL cannot load it."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_trusted_ca
from manager.domain.alarms.kinds import AlarmKind, Condition, Stored, stored_spec
from manager.domain.model import TrustedCaRecord


def _find(stored: Stored) -> Iterable[Condition]:
    inventory = stored.inventory
    for number, why in inventory.trust.held_out.items():
        record = inventory.trusted_cas[number]
        details = f"Nodes get {_files_of(record)} without it, because OpenSSL cannot load it: {why}."
        yield about_trusted_ca(record, AlarmKind.TRUSTED_CA_HELD_OUT, details)


def _files_of(record: TrustedCaRecord) -> str:
    files = ["ca-certificates.pem", "custom-ca.pem"] if record.is_anchor else []
    return " and ".join([*files, *([] if record.self_signed else ["intermediates.pem"])])


SPEC: Final = stored_spec(AlarmKind.TRUSTED_CA_HELD_OUT, 18, "error", _find)
