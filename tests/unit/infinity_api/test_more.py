import pytest

from manager.infinity_api.contract.bodies import read_values
from manager.infinity_api.contract.errors import ValuesError
from manager.infinity_api.contract.more import DEPTH_MAX, MORE_MAX, check_more, is_secret
from manager.infinity_api.contract.resources.platform import GLOBAL
from manager.infinity_api.contract.resources.small import EVENT_SINK


@pytest.mark.parametrize(
    "name",
    [
        *(
            "password",
            "bind_pw",
            "pwd",
            "psk",
            "pass",
            "passphrase",
            "api_token",
            "client_secret",
            "shared_key",
        ),
        *("encryption_key", "signing_keys", "apiKey", "apikey", "key", "privkey", "bearer", "Authorization"),
        *("Set-Cookie", "guest_pin", "connection_string", "connectionString", "account_sas_key", "hmac"),
    ],
)
def test_a_name_that_speaks_of_a_secret_is_one(name: str):
    assert is_secret(name, "x")
    assert is_secret(name, 1234)
    assert not is_secret(name, None)
    assert not is_secret(name, True)


@pytest.mark.parametrize(
    "name",
    ["public_key", "key_id", "keytype", "keyboard", "compass", "spinning", "url", "events", "opinion"],
)
def test_other_names_are_none(name: str):
    assert not is_secret(name, "x")


def test_nothing_secret_is_kept_of_what_nobody_described_however_deep():
    body = {
        "events": [{"name": "a", "password": "p"}, [{"token": "t", "on": 1}]],
        "headers": {"Authorization": "Basic x", "accept": "json"},
        "pin": "1234",
        "pin_required": True,
    }
    assert read_values(EVENT_SINK, body, whole=False) == {
        "events": [{"name": "a"}, [{"on": 1}]],
        "headers": {"accept": "json"},
        "pin_required": True,
    }


def nested(depth: int) -> object:
    value: object = 1
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}
    return value


def test_what_is_nested_too_deep_is_refused():
    body = {"more": nested(DEPTH_MAX - 1), "default_theme": {"name": nested(DEPTH_MAX - 1)}}
    assert read_values(GLOBAL, body, whole=False) == body
    for wrong in (
        {"more": nested(DEPTH_MAX)},
        {"default_theme": {"name": nested(DEPTH_MAX)}},
        {"more": nested(900)},
    ):
        with pytest.raises(ValuesError, match=f"at most {DEPTH_MAX} inside each other"):
            read_values(GLOBAL, wrong, whole=False)


def test_an_object_holds_no_more_than_one_body_may():
    check_more(EVENT_SINK, {"name": "n", **{f"f{number}": 1 for number in range(MORE_MAX)}})
    for values in ({f"f{number}": 1 for number in range(MORE_MAX + 1)}, {"f": "x" * 70_000}):
        with pytest.raises(ValuesError, match="beyond those of the schema"):
            check_more(EVENT_SINK, values)
