"""The public contract is written once: every type of a request or an answer stands in `common.api`, each once."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import msgspec
import pytest

import common.api
import manager.api
import manager.cli


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


def structs_of(package: ModuleType) -> list[type[msgspec.Struct]]:
    """Return the structs that a package declares itself."""
    return [
        kind
        for module in modules(package)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__
    ]


CONTRACT = structs_of(common.api)


@pytest.mark.parametrize("package", [manager.api, manager.cli])
def test_neither_side_of_the_api_declares_a_type_of_its_own(package):
    assert structs_of(package) == []


def test_no_two_types_have_one_name():
    names = [kind.__name__ for kind in CONTRACT]
    assert sorted(names) == sorted(set(names))


def test_no_two_types_have_the_same_fields():
    declared: dict[tuple[tuple[str, object], ...], str] = {}
    for kind in CONTRACT:
        fields = tuple(sorted((name, str(each)) for name, each in inspect.get_annotations(kind).items()))
        if fields:  # one that declares none of its own is its base under another name or form
            assert declared.setdefault(fields, kind.__name__) == kind.__name__
    assert len(declared) > 50


def test_a_command_reads_the_answer_of_a_later_manager():
    from common.api.facts import NodeView
    from tests.unit.cli.contract import complete

    later = complete({"name": "conf1", "state": "resting", "load": {"since": 7}}, NodeView)
    assert msgspec.convert(later, NodeView).state == "resting"
