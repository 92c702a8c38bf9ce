"""Annotations between requests, answers and the use cases; a test holds that all have the same fields."""

import msgspec

from common.api.certificates import CertificateAnswer
from common.api.uploads import CertificateEdit, NewCertificate
from manager.domain.annotations import ANNOTATIONS, Annotations


def given_annotations(body: NewCertificate | CertificateEdit) -> Annotations:
    """Return the annotations in a request."""
    return Annotations(**{name: getattr(body, name) for name in ANNOTATIONS})


def with_annotations(answer: CertificateAnswer, annotations: Annotations) -> CertificateAnswer:
    """Add annotations to a certificate's answer."""
    return msgspec.structs.replace(answer, **annotations.given())
