"""Statements: applies a node's messages about itself or a push to its facts and records.

`manager.fleet.pushes` decides the next push. Invariant: an outcome is acknowledged only once it is on disk.
"""

from collections.abc import Callable
from typing import assert_never

import structlog

from manager.channel.connection import Connection
from manager.domain.challenges import ChallengesKept
from manager.domain.report import Accepted, Outcome, Progress, Rejected, Report, Statement
from manager.fleet.announcements import ContactAnnouncer
from manager.fleet.challenges import ChallengeDelivery
from manager.fleet.pushes import Pushes
from manager.fleet.registry import Registry
from manager.fleet.reports import ReportWriter

log = structlog.get_logger(__name__)


class Statements:
    def __init__(
        self,
        registry: Registry,
        *,
        pushes: Pushes,
        reports: ReportWriter,
        challenges: ChallengeDelivery,
        announcer: ContactAnnouncer,
        clock: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._pushes = pushes
        self._reports = reports
        self._challenges = challenges
        self._announcer = announcer
        self._clock = clock

    def take(self, connection: Connection, statement: Statement) -> None:
        """Take a node's statement."""
        if isinstance(statement, ChallengesKept):
            self._challenges.note_kept(connection, statement)
            return
        facts = self._registry.find(connection.node)
        if facts is None:
            return
        now_s = self._clock()
        match statement:
            case Report():
                if facts.apply_report(statement, now_s):
                    self._reports.put(facts, now_s)
                self._announcer.tock(connection, facts)
                self._pushes.pursue(facts)
            case Progress():
                facts.progress(statement)
            case Accepted():
                pass
            case Rejected():
                if facts.conclude(statement, now_s):
                    self._reports.put(facts, now_s)
                self._pushes.conclude(facts, statement)
            case Outcome():
                facts.conclude(statement, now_s)
                # acknowledged only once it is on disk: until then the node keeps it
                self._reports.put(facts, now_s, lambda: connection.acknowledge(statement.push_id))
                self._pushes.conclude(facts, statement)
            case _:
                assert_never(statement)
        self._registry.note(facts.name)

    def note_overdue(self, connection: Connection, push_id: str, stage: str) -> None:
        """Note an unanswered push.

        The connection is being closed; the node gets a new offer when it returns.
        """
        log.warning("push.overdue", node=connection.node, push_id=push_id, phase=stage)
        if (facts := self._registry.find(connection.node)) is not None:
            now_s = self._clock()
            facts.overdue(push_id, stage, now_s)
            if facts.session:
                self._reports.put(facts, now_s)
            self._registry.note(facts.name)
