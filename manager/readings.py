"""Metric readings of the running manager: one number each, read at each scrape."""

from common.runtime.supervise import Supervisor
from manager.channel.listener import Listener
from manager.fleet.fleet import Fleet
from manager.http.metrics import MetricReading
from manager.http.server import HttpsServer
from manager.usecases.renewal.runner import RenewalRunner
from manager.usecases.usecases import UseCases


def readings_of(
    fleet: Fleet, use_cases: UseCases, listener: Listener, runner: RenewalRunner, server: HttpsServer
) -> list[MetricReading]:
    """Return the readings of the fleet, the use cases, both ports and the renewal runner."""
    return [
        MetricReading(
            "task_failures_total",
            "How often a background task ended with an error; see task.failed in the log.",
            lambda: float(Supervisor.failures),
        ),
        MetricReading(
            "reconcile_age_seconds", "Time since reconciling last advanced.", fleet.reconciler.age_s
        ),
        MetricReading(
            "alarms_age_seconds",
            "Time since the alarms were last evaluated.",
            use_cases.alarms.evaluator.age_s,
        ),
        MetricReading(
            "report_write_failures_total",
            "Node reports that could not be stored at the first attempt.",
            lambda: float(fleet.reports.failures),
        ),
        MetricReading(
            "renewal_failures_total",
            "Attempts to renew a certificate that failed, and were tried again later.",
            lambda: float(runner.failures),
        ),
        MetricReading(
            "channel_connections",
            "Connections to the SSH port, whether logged in or not.",
            lambda: float(listener.connections),
        ),
        MetricReading(
            "channel_logging_in",
            "Connections to the SSH port that have not logged in yet.",
            lambda: float(listener.gate.logging_in),
        ),
        MetricReading(
            "channel_waiting",
            "Connections to the SSH port that are waiting to log in.",
            lambda: float(listener.gate.waiting),
        ),
        MetricReading(
            "channel_refused_total",
            "Refused connections, logins and requests on the SSH port.",
            lambda: float(listener.gate.refused.total()),
        ),
        MetricReading(
            "https_connections", "Connections to the HTTPS port.", lambda: float(len(server.seats))
        ),
        MetricReading(
            "https_refused_total",
            "Connections to the HTTPS port that were refused, or cut because they were idle or slow.",
            lambda: float(server.seats.refused.total()),
        ),
    ]
