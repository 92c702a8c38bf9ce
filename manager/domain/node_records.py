"""Node records: the facts about a node that are stored, for all managers and for the next run of this one.

Decides what is stored with a report. Invariant: facts restored from a record show the same as the original
ones.
"""

from manager.domain.facts import NodeFacts
from manager.domain.model import NodeReportRecord
from manager.domain.push import push_of


def record_of(facts: NodeFacts, now_s: float) -> NodeReportRecord:
    """Return the record to store now, and note in the facts that it is stored."""
    facts.kept_s, facts.kept_skew_s = now_s, facts.clock_skew_s
    return NodeReportRecord(
        node=facts.name,
        at_s=now_s,
        last_report_s=facts.last_report_s,
        enrolled_s=facts.enrolled_s,
        awaiting_first_report=facts.awaiting_first_report,
        applied=facts.applied,
        last_failed=facts.reported_failed,
        reported_retry_s=facts.reported_retry_s,
        refused=facts.refused,
        refused_retry_s=facts.refused_retry_s,
        refused_parts=facts.refused_parts,
        push=facts.push.record() if facts.push is not None else None,
        agent_version=facts.agent_version,
        serving=facts.serving,
        disk=facts.disk,
        drifts=facts.drifts,
        clock_skew_s=facts.clock_skew_s,
        waiting=facts.waiting,
        diagnostics=facts.diagnostics,
        configuration=facts.configuration,
        node_id=facts.node_id,
        address=facts.address,
        contact=facts.contact,
    )


def restore(facts: NodeFacts, record: NodeReportRecord) -> None:
    """Take what the store kept of a node last."""
    facts.kept_s, facts.kept_skew_s = record.at_s, record.clock_skew_s
    facts.last_report_s = max(facts.last_report_s or 0.0, record.last_report_s or record.at_s)
    # a record from before the node joined again is outdated; former releases did not store the time of joining
    is_earlier = record.enrolled_s is not None and record.enrolled_s != facts.enrolled_s
    facts.awaiting_first_report = is_earlier or record.awaiting_first_report
    facts.applied, facts.serving = record.applied, record.serving
    facts.reported_failed, facts.reported_retry_s = record.last_failed, _retry_s(record)
    facts.refused, facts.refused_retry_s = record.refused, record.refused_retry_s
    facts.refused_parts = record.refused_parts
    facts.push = push_of(record.push) if record.push is not None else None
    facts.agent_version = record.agent_version or facts.agent_version
    facts.disk, facts.drifts, facts.clock_skew_s = record.disk, record.drifts, record.clock_skew_s
    facts.waiting, facts.diagnostics = record.waiting, record.diagnostics
    facts.configuration, facts.contact = record.configuration, record.contact
    facts.address = record.address


def _retry_s(record: NodeReportRecord) -> float:
    if record.reported_retry_s is not None:
        return record.reported_retry_s
    return record.at_s + record.last_failed.retry_after_s if record.last_failed is not None else 0.0
