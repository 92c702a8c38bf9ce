"""One name, one thing: no two classes of a program have the same name, unless they are the same thing seen from two sides."""

import ast
from collections import defaultdict
from collections.abc import Iterable

import pytest

from tests.unit.test_sizes import product

SHARED = {
    "one thing, with a type of its own in each contract, and one that the manager works with (decision 34)": {
        *(
            "Accepted",
            "Applied",
            "AuditRecord",
            "BuiltinCa",
            "Caller",
            "ChallengesKept",
            "ConfigurationFault",
        ),
        *("Contact", "Failure", "FileChange", "Finding", "Headline", "KeyChange", "Link", "Named"),
        *("NewCertificate", "NodeView", "NotKept", "Outcome", "PartRefused", "Progress"),
        *(
            "PushView",
            "Rejected",
            "Report",
            "Serving",
            "SlotChange",
            "SlotView",
            "Status",
            "Version",
            "Waiting",
        ),
    },
    "what is wanted of something, as a protocol, and what does it": {
        "Fleet",
        "Holds",
        "Lead",
        "Nodes",
        "Reports",
    },
    "a table of the store, and the same as clients of the existing API know it": {
        *("Alarms", "Clients", "Documents", "Roles", "TrustedCas"),
    },
    "the end of a connection, for the state machine of the wire and for the one around it": {"Close"},
    "a word of ACME (RFC 8555), or of the library that speaks it": {
        "Challenge",
        "Payload",
        "Transport",
    },
}
"""Names that more than one class has, by reason."""


def classes() -> Iterable[tuple[str, str]]:
    """Yield the path and the name of each class that others may import."""
    for path, text in product():
        for each in ast.walk(ast.parse(text)):
            if isinstance(each, ast.ClassDef) and not each.name.startswith("_"):
                yield path, each.name


def repeated(found: Iterable[tuple[str, str]], program: str) -> set[str]:
    """Return the names that a program's classes, and those of what it is built on, have more than once."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for path, name in found:
        if path.split("/")[0] in {program, "common"}:
            by_name[name].append(path)
    return {name for name, paths in by_name.items() if len(paths) > 1}


@pytest.mark.parametrize("program", ["manager", "nodeagent"])
def test_no_two_classes_of_a_program_have_one_name_for_different_things(program):
    assert repeated(classes(), program) <= set().union(*SHARED.values())


def test_every_exception_is_needed():
    found = list(classes())
    assert repeated(found, "manager") | repeated(found, "nodeagent") == set().union(*SHARED.values())


def test_a_name_that_stands_twice_is_found_and_programs_may_share_one():
    found = [
        ("manager/a.py", "Batch"),
        ("manager/b.py", "Batch"),
        ("nodeagent/c.py", "Target"),
        ("manager/c.py", "Target"),
    ]
    assert (repeated(found, "manager"), repeated(found, "nodeagent")) == ({"Batch"}, set())
