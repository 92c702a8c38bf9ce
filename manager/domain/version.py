"""What somebody looked at when they began to change something, as one short digest.

Pure. Invariant: two different contents have different versions, so a change on top of one that was not seen is noticed.
"""

import hashlib
import json
from collections.abc import Iterable

from manager.domain.model import AssignmentRecord, CertificateRecord, NodeRecord, TrustedCaRecord


def version_of_certificate(record: CertificateRecord, places: Iterable[AssignmentRecord]) -> str:
    """Return the version of what can be edited of a certificate: its texts, and where it is assigned."""
    where = sorted((place.slot, place.node) for place in places)
    return _version([record.text, record.parameters_text, where])


def version_of_trusted_ca(record: TrustedCaRecord) -> str:
    """Return the version of what can be edited of a trusted CA."""
    return _version([record.text, record.trusted_intermediate])


def version_of_node(record: NodeRecord) -> str:
    """Return the version of what is known of a node besides its key and its certificates; another node of its name has another one."""
    return _version([record.id, record.names, record.addresses, dict(record.detail)])


def _version(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
