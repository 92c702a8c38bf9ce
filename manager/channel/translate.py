"""Wire translation between the channel's messages and the manager's own terms.

Nothing else in the manager knows both. A field keeps its name; one that the manager does not use is dropped.
Decoding has already checked a message's limits. Pure.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from msgspec import convert

from common.wire import challenges as wire_challenges
from common.wire import contact as wire_contact
from common.wire import messages as wire
from manager.domain.challenges import ChallengesKept, SentChallenge
from manager.domain.contact import Contact
from manager.domain.report import Accepted, Failure, Greeting, Outcome, Progress, Rejected, Report, Statement

WireStatement = (
    wire.Accepted | wire.Rejected | wire.Progress | wire.Outcome | wire.Tick | wire_challenges.ChallengesKept
)
"""What an agent may send once it was welcomed and its payloads were supplied."""


def greeting_of(hello: wire.Hello) -> Greeting:
    """Read an introduction. An agent that names no instance is identified by its machine's start."""
    return Greeting(
        node=hello.node,
        instance=hello.instance or hello.boot_id,
        agent_version=hello.agent_version,
        report=_report(hello),
    )


def statement_of(message: WireStatement) -> Statement:
    """Read an agent's statement about a push or its node."""
    match message:
        case wire.Tick():
            return _report(message)
        case wire.Accepted():
            return convert(message, Accepted, from_attributes=True)
        case wire.Progress():
            return convert(message, Progress, from_attributes=True)
        case wire.Rejected():
            return convert(message, Rejected, from_attributes=True)
        case wire.Outcome():
            return convert(message, Outcome, from_attributes=True)
        case wire_challenges.ChallengesKept():
            return convert(message, ChallengesKept, from_attributes=True)
        case _:
            assert_never(message)


def _report(message: wire.Hello | wire.Tick) -> Report:
    report = convert(message.report, Report, from_attributes=True)
    if message.contact is None:
        return report
    return replace(report, contact=convert(message.contact, Contact, from_attributes=True))


def contact_message(contact: Contact | None) -> wire_contact.Contact | None:
    """Write how nodes reach this manager."""
    return convert(contact, wire_contact.Contact, from_attributes=True) if contact is not None else None


def challenge_messages(challenges: Sequence[SentChallenge]) -> list[wire_challenges.Challenge]:
    """Write the challenges a node must show."""
    return [
        wire_challenges.Challenge(token=each.token, text=each.response, expires_in_s=each.expires_in_s)
        for each in challenges
    ]


def report_message(report: Report) -> wire.Report:
    return convert(report, wire.Report, from_attributes=True)


def failure_message(failure: Failure) -> wire.Failure:
    """Write why content was refused."""
    return convert(failure, wire.Failure, from_attributes=True)


def outcome_message(outcome: Outcome) -> wire.Outcome:
    return convert(outcome, wire.Outcome, from_attributes=True)
