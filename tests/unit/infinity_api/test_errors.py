import pickle

import msgspec
import pytest

from manager.infinity_api.contract import errors
from manager.infinity_api.contract.errors import (
    InvalidRequestError,
    NoObjectError,
    Reply,
    ValuesError,
    check_method,
)
from tests.unit.infinity_api.examples import ALARM, CERTIFICATE, IMPORT, WORKER


def read(answer):
    return msgspec.json.decode(answer.body)


def test_a_refused_request_is_400_with_one_error_text():
    answer = InvalidRequestError("Bad JSON.").answer
    assert answer.status == 400
    assert read(answer) == {"error": "Bad JSON."}


def test_refused_values_are_400_by_resource_and_field_with_every_finding():
    answer = ValuesError("tls_certificate", {"certificate": ["a", "b"], "__all__": ["c"]}).answer
    assert answer.status == 400
    assert read(answer) == {"tls_certificate": {"certificate": ["a", "b"], "__all__": ["c"]}}


def test_refused_values_cross_between_processes():
    error = ValuesError("worker_vm", {"name": ["This field cannot be blank."]})
    assert pickle.loads(pickle.dumps(error)).body == error.body


def test_pitfall_2_a_created_object_is_201_with_an_empty_body_and_a_location_that_ends_in_its_number():
    answer = errors.created(CERTIFICATE.uri(7))
    assert (answer.status, answer.body) == (201, b"")
    assert answer.headers["Location"].endswith("/7/")


def test_pitfall_4_a_patch_is_202_with_an_empty_body():
    assert Reply(202) == errors.ACCEPTED


def test_pitfall_9_a_command_is_202_with_a_body_that_every_client_reads():
    assert errors.COMMAND_DONE.status == 202
    assert read(errors.COMMAND_DONE) == {"status": "success", "data": None}


def test_pitfall_10_a_missing_object_is_404_with_an_empty_body_so_that_clients_say_not_found():
    assert NoObjectError("no such object").answer == Reply(404)


def test_the_table_of_status_codes():
    assert errors.found({}).status == 200
    assert Reply(204) == errors.NO_CONTENT
    assert errors.UNAUTHENTICATED.status == 401
    assert errors.UNAUTHENTICATED.headers["WWW-Authenticate"].startswith("Basic ")
    assert errors.forbidden("no").status == 403
    assert errors.BAD_ID.status == 404
    assert set(read(errors.BAD_ID)) == {"error_message"}
    assert errors.unsupported_media_type("text/xml").status == 415
    assert errors.throttled(5) == Reply(429, headers={"Retry-After": "5"})
    assert errors.INTERNAL.status == 500


@pytest.mark.parametrize(
    ("resource", "method", "to_one", "status"),
    [
        (CERTIFICATE, "GET", False, None),
        (CERTIFICATE, "HEAD", True, None),
        (CERTIFICATE, "PUT", True, 405),
        (CERTIFICATE, "PUT", False, 405),
        (CERTIFICATE, "POST", True, 501),
        (WORKER, "put", True, None),
        (ALARM, "POST", False, 405),
        (ALARM, "POST", True, 405),
        (ALARM, "DELETE", True, 405),
        (IMPORT, "POST", False, None),
        (IMPORT, "GET", False, 405),
    ],
)
def test_a_method_is_allowed_or_refused_as_the_description_says(resource, method, to_one, status):
    answer = check_method(resource, method, to_one=to_one)
    assert (answer and answer.status) == status


def test_a_refused_method_names_the_allowed_ones():
    answer = check_method(CERTIFICATE, "PUT", to_one=True)
    assert answer is not None
    assert answer.headers == {"Allow": "GET, PATCH, DELETE"}
