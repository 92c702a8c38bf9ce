"""Texts with a pattern: what they end with belongs to them."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import msgspec
import pytest

import common.api
import common.wire

SAMPLES = ("", "0a", "busy", "a" * 30, "ssh-ed25519 AAAA", "t-1_A", "t-1_A.thumb", "SHA256:" + "A" * 43)


def patterned() -> Iterator[tuple[str, Any]]:
    """Every text of the wire and of the API that has a pattern."""
    for package in (common.wire, common.api):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for name, value in vars(importlib.import_module(found.name)).items():
                if get_origin(value) is Annotated and any(
                    isinstance(each, msgspec.Meta) and each.pattern for each in get_args(value)[1:]
                ):
                    yield f"{found.name}.{name}", value


TEXTS = dict(patterned())


def is_taken(text: str, kind: Any) -> bool:
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return False
    return True


def test_there_are_such_texts():
    assert {name.rpartition(".")[2] for name in TEXTS} >= {"Hex", "ReasonText", "KeyLine", "Token"}


@pytest.mark.parametrize("name", TEXTS)
def test_no_line_end_follows_a_text_that_has_a_pattern(name):
    taken = [each for each in SAMPLES if is_taken(each, TEXTS[name])]
    assert taken, "a sample that is taken is needed"
    assert not [each for each in taken if is_taken(each + "\n", TEXTS[name])]
