"""The agent's few numbers in Prometheus' text format (version 0.0.4)."""

import math
import time

from common.release import VERSION
from common.runtime.supervise import Supervisor
from common.text import printable
from common.wire.messages import Report, Serving
from nodeagent.channel.connection import ConnectionStatus
from nodeagent.health.check import is_ready
from nodeagent.health.checks import Health

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(health: Health) -> str:
    """Return the text of /metrics."""
    report = health.state.local.report(health.state.clock())
    ready = is_ready(health.ready())
    lines = [
        *_gauge(
            "certcast_agent_build_info",
            "The version that is running.",
            [(_labels(version=VERSION), 1)],
        ),
        *_gauge("certcast_agent_ready", "Whether /health/ready answers 200.", [("", int(ready))]),
        *_gauge(
            "certcast_agent_connected",
            "Whether the agent is connected to the manager.",
            [("", int(health.status.welcomed))],
        ),
        *_manager(health.status),
        *_applied(report),
        *_counter("certcast_agent_drifts_total", "Drifts repaired since the agent started.", report.drifts),
        *_counter(
            "certcast_agent_task_failures_total",
            "Times that a task in the background ended with an error; the log says which (task.failed).",
            Supervisor.failures,
        ),
        *_gauge(
            "certcast_agent_disk_right",
            "Whether the live files and copies were as installed when last checked.",
            [("", int(health.state.local.is_disk_right))],
        ),
        *_gauge(
            "certcast_agent_reloads_waiting",
            "Reloads that wait, on purpose or for their service.",
            [("", len(report.waiting))],
        ),
        *_gauge(
            "certcast_agent_configuration_faults",
            "Mistakes in this node's own configuration.",
            [("", len(report.configuration))],
        ),
        *_gauge(
            "certcast_agent_served_expiry_timestamp_seconds",
            "When the leaf that an endpoint serves expires; 0 if none is seen, NaN if it cannot be read.",
            [
                (_labels(consumer=seen.consumer, endpoint=seen.endpoint, slot=seen.slot), _end_s(seen))
                for seen in report.serving
            ],
        ),
    ]
    return "\n".join(lines) + "\n"


def _end_s(seen: Serving) -> float:
    if not seen.leaf:
        return 0
    return seen.ends_s if seen.ends_s is not None else math.nan


def _manager(status: ConnectionStatus) -> list[str]:
    if status.last_seen_s is None:
        return []
    age_s = round(time.monotonic() - status.last_seen_s, 1)
    return [
        *_gauge("certcast_agent_word_age_seconds", "Since the manager's last message.", [("", age_s)]),
        *_gauge(
            "certcast_agent_clock_skew_seconds",
            "This node's clock minus the manager's.",
            [("", round(status.skew_s, 3))],
        ),
    ]


def _applied(report: Report) -> list[str]:
    generation = report.applied.generation if report.applied is not None else 0
    failed = report.last_failed
    return [
        *_gauge(
            "certcast_agent_applied_generation", "The installed generation, 0 for none.", [("", generation)]
        ),
        *_gauge(
            "certcast_agent_failed_attempts",
            "How often in a row the last content failed; 0 after a success.",
            [(_labels(reason=failed.reason), failed.attempts)] if failed is not None else [("", 0)],
        ),
    ]


def _gauge(name: str, meaning: str, samples: list[tuple[str, float]]) -> list[str]:
    return [
        f"# HELP {name} {meaning}",
        f"# TYPE {name} gauge",
        *(f"{name}{labels} {'NaN' if math.isnan(value) else value}" for labels, value in samples),
    ]


def _counter(name: str, meaning: str, value: float) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} counter", f"{name} {value}"]


def _labels(**pairs: str) -> str:
    def quoted(value: str) -> str:
        return printable(value).replace("\\", "\\\\").replace('"', '\\"')

    return "{" + ",".join(f'{key}="{quoted(value)}"' for key, value in pairs.items()) + "}"
