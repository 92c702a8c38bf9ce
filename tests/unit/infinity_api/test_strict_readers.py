"""The fakes that stand for clients are as strict as the clients: what breaks these must break those."""

import msgspec
import pytest

from manager.infinity_api.contract.index import RESOURCES
from manager.infinity_api.contract.schema import schema_document
from tests.fakes import cli_client, sdk_client

GOOD = {"id": 1, "start_date": "2025-01-02T03:04:05", "end_date": "2025-01-02T03:04:05.1", "serial_no": "0A"}


def read(**changed: object) -> object:
    body = msgspec.json.encode({**GOOD, **changed})
    return sdk_client.read_object("configuration/v1/tls_certificate", body)


@pytest.mark.parametrize(
    "text", ["2025-01-02T03:04:05", "2025-01-02T03:04:05.123456Z", "2025-01-02T03:04:05.123456+00:00"]
)
def test_the_sdk_reads_these_times(text):
    assert read(end_date=text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("end_date", "2025-01-02T03:04:05Z"),
        ("end_date", "2025-01-02T03:04:05+00:00"),
        ("end_date", None),
        ("end_date", ""),
        ("serial_no", 7),
        ("nodes", "one"),
        ("nodes", [1]),
        ("id", "1"),
    ],
)
def test_the_sdk_stops_at_these(name, value):
    with pytest.raises(sdk_client.DecodeError):
        read(**{name: value})


def test_the_sdk_takes_missing_null_and_further_texts():
    assert read(private_key=None, more="x") == read()


@pytest.mark.parametrize("location", ["", "/tls_certificate/", "/tls_certificate/x/"])
def test_the_sdk_needs_a_number_at_the_end_of_a_location(location):
    with pytest.raises(sdk_client.DecodeError):
        sdk_client.created_id(location)


def test_the_command_line_client_drops_a_schema_with_anything_that_it_does_not_know():
    good = schema_document(RESOURCES[0])
    assert cli_client.read_schema(good)
    for changed in (
        {"allowed_detail_http_methods": ["GET"]},
        {"default_limit": -1},
        {"fields": {"x": {**good["fields"]["id"], "type": "dict"}}},
        {"fields": {"x": {"type": "string"}}},
    ):
        with pytest.raises(msgspec.ValidationError):
            cli_client.read_schema({**good, **changed})


@pytest.mark.parametrize("address", ['"https://manager/api/"', '""'])
def test_the_command_line_client_follows_paths_only(address):
    text = f'{{"meta": {{"limit": 1, "offset": 0, "total_count": 0, "next": {address}}}, "objects": []}}'
    with pytest.raises(msgspec.ValidationError):
        cli_client.read_list(text.encode())
