"""Entity tags (as in RFC 9110 8.8.3): short digests of the content that a user saw before changing it.

Pure. Invariant: different contents have different tags, so a change based on outdated content is noticed.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict

from manager.domain.model import AssignmentRecord, CertificateRecord, NodeRecord, TrustedCaRecord
from manager.domain.renewal.records import RenewalRecord


def etag_of_certificate(record: CertificateRecord, places: Iterable[AssignmentRecord]) -> str:
    """Return the tag of a certificate's editable content: its texts, assignments and annotations."""
    where = sorted((place.slot, place.node) for place in places)
    return _tag([record.text, record.parameters_text, where, dict(record.annotations.given())])


def etag_of_trusted_ca(record: TrustedCaRecord) -> str:
    """Return the tag of a trusted CA's editable content."""
    return _tag([record.text, record.trusted_intermediate])


def etag_of_node(record: NodeRecord) -> str:
    """Return the tag of a node's description, without key and certificates.

    A later node of the same name has another tag.
    """
    return _tag([record.id, record.names, record.addresses, dict(record.detail)])


def etag_of_renewal(record: RenewalRecord) -> str:
    """Return the tag of a renewal's terms; renewing the certificate does not change it."""
    return _tag([record.terms and asdict(record.terms), record.send_to])


def _tag(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
