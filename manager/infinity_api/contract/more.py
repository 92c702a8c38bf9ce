"""Fields without a description.

Stored and returned unchanged, because clients are newer than our description.

Decides how much of this an object may hold. Members whose names suggest a secret are not stored, at any
depth, since nothing would keep them from being shown.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from manager.infinity_api.contract.description import Resource, Value, Values
from manager.infinity_api.contract.errors import WHOLE, ValuesError

MORE_MAX: Final = 100
"""Fields of an object that are kept without being described; the largest resource of the known clients has
about as many."""

MORE_MAX_BYTES: Final = 64 * 1024
"""All of these together as JSON; policy templates, the longest known texts, are some kilobytes."""

DEPTH_MAX: Final = 20
"""Lists and objects inside each other; the known clients nest three."""

_MORE_NAME: Final = re.compile(r"(?!.*__)[a-z][a-z0-9_]{0,63}", re.ASCII)
_SECRET_PART: Final = re.compile(
    r"pass(word|phrase|wd|code)|secret|token|credential|(private|access|api|auth)_?key|connection_?string"
)
_SECRET_WORDS: Final = frozenset(
    {"pass", "pwd", "pw", "psk", "pin", "otp", "hmac", "bearer", "authorization", "cookie", "privkey"}
)
_NO_SECRET_KEYS: Final = frozenset({"public", "primary", "foreign"})
"""What makes a key one that may be shown."""


def read_more(resource: Resource, body: Mapping[str, Value]) -> Values:
    """Return the fields of a body that are not described and yet kept, where the resource keeps them.

    Raises ValuesError.
    """
    if not resource.keeps_more:
        return {}
    named = {
        name: value
        for name, value in body.items()
        if name not in resource.by_name and _MORE_NAME.fullmatch(name)
    }
    if is_deep(named):
        text = f"Lists and objects can be at most {DEPTH_MAX} inside each other."
        raise ValuesError(resource.name, {WHOLE: [text]})
    more = {name: without_secrets(value) for name, value in named.items() if not is_secret(name, value)}
    check_more(resource, more)
    return more


def check_more(resource: Resource, values: Mapping[str, object]) -> None:
    """Check that an object with these values does not hold more than is kept. Raises ValuesError."""
    if not resource.keeps_more:
        return
    more = {name: value for name, value in values.items() if name not in resource.by_name}
    if len(more) > MORE_MAX or len(msgspec.json.encode(more)) > MORE_MAX_BYTES:
        text = f"At most {MORE_MAX} fields and {MORE_MAX_BYTES} bytes beyond those of the schema can be kept."
        raise ValuesError(resource.name, {WHOLE: [text]})


def without_secrets(value: Value) -> Value:
    """Return a value without members whose names call them secret. It is not deep."""
    match value:
        case dict():
            return {name: without_secrets(each) for name, each in value.items() if not is_secret(name, each)}
        case list():
            return [without_secrets(each) for each in value]
        case _:
            return value


def is_secret(name: str, value: Value) -> bool:
    """Return whether a field holds a secret, by its name; null and booleans are not secrets."""
    if value is None or isinstance(value, bool):
        return False
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    parts = re.split(r"[^a-z0-9]+", words)
    is_key = parts[-1] in {"key", "keys"} and not _NO_SECRET_KEYS.intersection(parts)
    return is_key or bool(_SECRET_PART.search(words)) or not _SECRET_WORDS.isdisjoint(parts)


def is_deep(value: Value) -> bool:
    """Return whether lists and objects are nested more than DEPTH_MAX deep."""
    inside = [value]
    for _ in range(DEPTH_MAX + 1):
        inside = [
            each
            for held in inside
            if isinstance(held, dict | list)
            for each in (held.values() if isinstance(held, dict) else held)
        ]
        if not inside:
            return False
    return True
