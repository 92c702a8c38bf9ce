"""Messages of the wire in the manager's own terms, and back."""

import dataclasses
from typing import get_args

import msgspec
import pytest

from common import codes
from common.wire import messages as wire
from manager.channel.translate import (
    failure_message,
    greeting_of,
    outcome_message,
    report_message,
    statement_of,
)
from manager.domain import report as domain
from tests.unit.wire.test_vectors import CONTACT, MESSAGES, REPORT


def plain(value: object) -> object:
    """Return a value as dicts and lists, whichever contract it is of."""
    return msgspec.to_builtins(value)


def test_every_field_of_a_report_arrives():
    said = plain(statement_of(wire.Tick(report=REPORT, contact=CONTACT)))
    # the contact travels beside the report, which is as large as it can be
    sent = {name: value for name, value in plain(REPORT).items() if name != "stopped"}
    sent["contact"] = plain(CONTACT)
    assert msgspec.json.decode(msgspec.json.encode(said)) == sent


@pytest.mark.parametrize(
    "kind",
    [
        domain.Applied,
        domain.Failure,
        domain.Serving,
        domain.Waiting,
        domain.ConfigurationFault,
        domain.PartRefused,
        domain.Report,
        domain.Accepted,
        domain.Progress,
        domain.Rejected,
        domain.Outcome,
    ],
)
def test_the_wire_has_every_field_that_the_manager_takes_from_it(kind):
    """A field that only one side has would keep its default for ever."""
    sent = set(getattr(wire, kind.__name__).__struct_fields__)
    if kind is domain.Report:
        sent.add("contact")
    assert {field.name for field in dataclasses.fields(kind)} <= sent


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        (wire.Phase, codes.Phase),
        (wire.Result, codes.Result),
        (wire.WaitReason, codes.WaitReason),
        (wire.Failure.__annotations__["result"], codes.FailureResult),
    ],
)
def test_the_manager_knows_every_code_that_the_wire_lets_through(sent, known):
    """One that it did not know would be read from the wire and then break its translation."""
    assert get_args(sent)
    assert set(get_args(sent)) <= set(get_args(known))


def test_an_agent_that_names_no_instance_is_told_apart_by_its_boot():
    hello = MESSAGES["hello"]
    assert greeting_of(hello).instance == "i"
    assert greeting_of(msgspec.structs.replace(hello, instance="")).instance == "b"


def test_a_greeting_has_the_name_that_the_node_claims_and_its_report():
    greeting = greeting_of(MESSAGES["hello"])
    assert (greeting.node, greeting.agent_version) == ("n1", "0.1.0")
    assert greeting.report == statement_of(MESSAGES["tick"])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("accepted", domain.Accepted),
        ("progress", domain.Progress),
        ("rejected", domain.Rejected),
        ("outcome", domain.Outcome),
        ("tick", domain.Report),
    ],
)
def test_each_message_about_a_push_has_its_statement(name, kind):
    assert type(statement_of(MESSAGES[name])) is kind


def test_what_the_management_node_says_comes_back_as_it_was():
    outcome = statement_of(MESSAGES["outcome"])
    assert outcome_message(outcome) == MESSAGES["outcome"]
    assert report_message(outcome.report) == REPORT
    assert failure_message(outcome.report.last_failed) == REPORT.last_failed
