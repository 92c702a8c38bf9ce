"""Entity tags (as RFC 9110 8.8.3 has them): what somebody looked at when they began to change something, as one short digest.

Pure. Invariant: two different contents have different tags, so a change on top of one that was not seen is noticed.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict

from manager.domain.model import AssignmentRecord, CertificateRecord, NodeRecord, TrustedCaRecord
from manager.domain.renewal.records import RenewalRecord


def etag_of_certificate(record: CertificateRecord, places: Iterable[AssignmentRecord]) -> str:
    """Return the tag of what can be edited of a certificate: its texts, where it is assigned, and what is written about it."""
    where = sorted((place.slot, place.node) for place in places)
    return _tag([record.text, record.parameters_text, where, dict(record.annotations.given())])


def etag_of_trusted_ca(record: TrustedCaRecord) -> str:
    """Return the tag of what can be edited of a trusted CA."""
    return _tag([record.text, record.trusted_intermediate])


def etag_of_node(record: NodeRecord) -> str:
    """Return the tag of what is known of a node besides its key and its certificates; another node of its name has another one."""
    return _tag([record.id, record.names, record.addresses, dict(record.detail)])


def etag_of_renewal(record: RenewalRecord) -> str:
    """Return the tag of what can be changed of a renewal: with what it is renewed. That it was renewed meanwhile is no other one."""
    return _tag([record.terms and asdict(record.terms), record.send_to])


def _tag(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
