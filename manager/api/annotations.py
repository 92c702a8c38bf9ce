"""Annotations between requests, answers and the use cases; each passes on as it is declared, and a test holds that all have the same."""

import msgspec

from common.api.certificates import CertificateAnswer
from common.api.uploads import CertificateEdit, NewCertificate
from manager.domain.annotations import ANNOTATIONS, Annotations


def given_annotations(body: NewCertificate | CertificateEdit) -> Annotations:
    """Return what a request writes about a certificate."""
    return Annotations(**{name: getattr(body, name) for name in ANNOTATIONS})


def with_annotations(answer: CertificateAnswer, annotations: Annotations) -> CertificateAnswer:
    """Add what is written about a certificate to what is answered about it."""
    return msgspec.structs.replace(answer, **annotations.given())
