"""The public contract is written once: every type of a request or an answer stands in `common.api`, each once."""

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import msgspec
import pytest

import common.api
import manager
import manager.api
import manager.cli
import manager.http
import manager.web
from common.api.uploads import Assign
from common.api.users import NewToken
from common.api.values import RequestBody
from manager.api.app import ROUTES
from manager.cli.client import Client

RUN = {"manager.__main__", "manager.store.migrations.env"}  # programs, which do more than declare


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if found.name not in RUN:
            yield importlib.import_module(found.name)


def classes_of(package: ModuleType) -> list[type]:
    """Return the classes that a package declares itself."""
    return [
        kind
        for module in modules(package)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
    ]


def structs_of(package: ModuleType) -> list[type[msgspec.Struct]]:
    """Return the structs among them."""
    return [kind for kind in classes_of(package) if issubclass(kind, msgspec.Struct)]


CONTRACT = structs_of(common.api)
FEW = 3
"""Fewer fields are the same by chance."""


@pytest.mark.parametrize("package", [manager.api, manager.cli, manager.web])
def test_no_front_end_declares_a_type_of_the_api(package):
    assert structs_of(package) == []


@pytest.mark.parametrize("package", [manager.api, manager.cli, manager.http, manager.web])
def test_no_front_end_declares_the_fields_of_such_a_type_again(package):
    shapes = {frozenset(kind.__struct_fields__) for kind in CONTRACT if len(kind.__struct_fields__) >= FEW}
    records = [kind for kind in classes_of(package) if dataclasses.is_dataclass(kind)]
    fields = {kind: frozenset(each.name for each in dataclasses.fields(kind)) for kind in records}
    fields |= {kind: frozenset(kind.__struct_fields__) for kind in structs_of(package)}
    assert [kind for kind, names in fields.items() if names in shapes] == []


def test_nowhere_in_the_manager_has_another_struct_the_name_of_a_type_of_the_api():
    names = {kind.__name__ for kind in CONTRACT}
    structs = structs_of(manager)
    assert len(structs) > 5
    assert [f"{kind.__module__}.{kind.__name__}" for kind in structs if kind.__name__ in names] == []


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


@pytest.mark.parametrize("method", [Client.post, Client.put, Client.patch, Client.post_file])
def test_a_command_sends_nothing_but_what_the_contract_calls_a_body(method):
    assert inspect.signature(method).parameters["body"].annotation is RequestBody


def test_every_body_of_a_route_is_one_that_a_command_could_send():
    bodies = {route.body for route in ROUTES if route.body is not None}
    assert len(bodies) > 15
    assert {kind for kind in bodies if not issubclass(kind, RequestBody)} == set()


def test_a_manager_that_does_not_know_a_field_understands_who_says_nothing_in_it():
    assert msgspec.json.encode(NewToken(label="x")) == b'{"label":"x"}'
    assert msgspec.json.encode(Assign(nodes=None)) == b'{"nodes":null}'  # what must be said has no default


def test_a_command_reads_the_answer_of_a_later_manager():
    from common.api.facts import NodeView
    from tests.unit.cli.contract import complete

    later = complete({"name": "conf1", "state": "resting", "load": {"since": 7}}, NodeView)
    assert msgspec.convert(later, NodeView).state == "resting"
