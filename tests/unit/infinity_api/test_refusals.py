import pytest

from common.errors import (
    AccessError,
    CertcastError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PkiError,
    Reason,
    StorageError,
    ThrottledError,
)
from manager.infinity_api.contract.errors import INTERNAL, InvalidRequestError, NoObjectError, ValuesError
from manager.infinity_api.contract.refusals import answer_to
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.upload import CERTIFICATE_FIELD, KEY_FIELD
from tests.unit.infinity_api.examples import CERTIFICATE, IMPORT, WORKER
from tests.unit.infinity_api.test_errors import read


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequestError("no"), 400),
        (ValuesError("worker_vm", {"name": ["no"]}), 400),
        (NoObjectError("no"), 404),
        (NotFoundError("no"), 404),
        (AccessError("no"), 401),
        (AccessError("no", reason=Reason.FORBIDDEN), 403),
        (ThrottledError(1), 429),
        (StorageError("no"), 503),
        (StorageError("no", reason=Reason.NO_SPACE), 507),
        (InvalidInputError("", "no", reason=Reason.TOO_BIG), 413),
        (InvalidInputError("name", "no"), 400),
        (ConflictError("no"), 400),
        (CertcastError("no", reason=Reason.TIMEOUT), 503),
        (CertcastError("no", reason=Reason.UNSUPPORTED), 415),
        (CertcastError("no"), 500),
    ],
)
def test_every_error_has_its_status(error, status):
    assert answer_to(error, WORKER).status == status


def test_findings_stand_with_the_field_that_they_are_about():
    error = PkiFindingsError(
        [
            PkiError("broken", file=CERTIFICATE_FIELD, block=2, line=7),
            PkiError("wrong passphrase", file=KEY_FIELD),
            PkiError("odd"),
        ]
    )
    assert read(answer_to(error, CERTIFICATE)) == {
        "tls_certificate": {
            "certificate": ["block 2, line 7: broken"],
            "private_key": ["wrong passphrase"],
            "__all__": ["odd"],
        }
    }
    assert set(read(answer_to(error, IMPORT))) == {"error"}


def test_a_finding_of_the_operations_is_told_in_the_contracts_words():
    assert read(answer_to(InvalidInputError("name", "bad"), WORKER)) == {"worker_vm": {"name": ["bad"]}}
    assert read(answer_to(InvalidInputError("slot", "bad"), WORKER)) == {"worker_vm": {"__all__": ["bad"]}}
    assert read(answer_to(ConflictError("twice"), WORKER)) == {"worker_vm": {"__all__": ["twice"]}}


def test_what_is_unexpected_says_nothing_of_itself():
    assert answer_to(CertcastError("internals"), WORKER) == INTERNAL
