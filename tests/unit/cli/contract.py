"""Answers as the contract has them: what a test leaves out is filled in by type, and what it gives is held against the type."""

import re
from typing import Any

import msgspec
from msgspec import inspect

from common.api.errors import FailureAnswer
from common.api.values import Nothing
from manager.api.app import ROUTES
from manager.api.routes import Route


def answer_type(method: str, path: str, status: int) -> Any:
    """Return the type that a route answers with, None for none; of a failure, that of every failure."""
    if status >= 400:
        return FailureAnswer
    answers = _route(method, path).answers
    assert status in answers, f"{method} {path} never answers with {status}"
    return answers[status]


def success_type(method: str, path: str) -> Any:
    """Return the type of a route's usual answer, None for none."""
    return next(iter(_route(method, path).answers.values()))


def stated(method: str, path: str, body: Any) -> Any:
    """Return what a body that a route takes states beside the defaults. Raises msgspec.ValidationError for one that it does not take."""
    route = _route(method, path)
    taken = msgspec.convert(body, route.body or Nothing)
    given = {each.encode_name: each for each in msgspec.structs.fields(type(taken))}
    return {
        name: value
        for name, value in body.items()
        if getattr(taken, given[name].name) != _default(given[name])
    }


def _default(field: msgspec.structs.FieldInfo) -> Any:
    made = field.default_factory
    return field.default if made is msgspec.NODEFAULT else made()


def _route(method: str, path: str) -> Route:
    for route in ROUTES:
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(route.path))
        if route.method == method and re.fullmatch(pattern, path.partition("?")[0]):
            return route
    raise AssertionError(f"the API has no {method} {path}")


def complete(given: Any, kind: Any) -> Any:
    """Return an answer with every field that its type requires; those that the contract does not know stay."""
    made = _completed(given, inspect.type_info(kind))
    msgspec.convert(made, kind)
    return made


def _completed(given: Any, kind: inspect.Type) -> Any:
    match kind, given:
        case inspect.Metadata(type=inner), _:
            return _completed(given, inner)
        case inspect.UnionType(types=types), dict() | list():
            return _completed(given, next(each for each in types if not isinstance(each, inspect.NoneType)))
        case inspect.StructType(fields=fields), dict():
            known = {
                each.encode_name: _completed(given[each.encode_name], each.type)
                if each.encode_name in given
                else _least(each.type)
                for each in fields
                if each.required or each.encode_name in given
            }
            return {**given, **known}
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item), list() | tuple():
            return [_completed(each, item) for each in given]
        case inspect.DictType(value_type=value), dict():
            return {name: _completed(each, value) for name, each in given.items()}
        case _:
            return given


def _least(kind: inspect.Type) -> Any:
    match kind:
        case inspect.Metadata(type=inner):
            return _least(inner)
        case inspect.UnionType():
            return None
        case inspect.StructType():
            return _completed({}, kind)
        case inspect.ListType() | inspect.VarTupleType():
            return []
        case inspect.DictType():
            return {}
        case inspect.BoolType():
            return False
        case inspect.IntType() | inspect.FloatType():
            return 0
        case inspect.StrType():
            return ""
        case _:
            raise AssertionError(f"no least value of {kind}")
