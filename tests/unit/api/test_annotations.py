from common.api.certificates import CertificateAnswer
from common.api.uploads import CertificateEdit, NewCertificate
from manager.domain.annotations import ANNOTATIONS
from manager.store.tables.content import certificate


def test_an_annotation_is_in_requests_answers_and_the_store():
    for kind in (NewCertificate, CertificateEdit, CertificateAnswer):
        assert set(ANNOTATIONS) <= set(kind.__struct_fields__)
    assert set(ANNOTATIONS) <= {column.name for column in certificate.columns}
