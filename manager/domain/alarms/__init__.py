"""Alarms: which conditions an operator must see, and what becomes of the alarms that say so.

Decides from state alone (level-triggered): an alarm is active as long as its condition is found, whoever missed the event that
made it. Leaves finding the state, the clock and the keeping to the shell. A kind has a file of its own: number, level, delay,
condition and words; `registry` knows them all.
Invariant: at most one active alarm for each kind and subject.
"""

from manager.domain.alarms.kinds import AlarmKind, Condition, Subject
from manager.domain.alarms.records import AlarmChanges, AlarmRecord, OnsetDelay, compare
from manager.domain.alarms.registry import ALARM_SPECS, conditions_of_inventory, conditions_of_nodes

__all__ = [
    "ALARM_SPECS",
    "AlarmChanges",
    "AlarmKind",
    "AlarmRecord",
    "Condition",
    "OnsetDelay",
    "Subject",
    "compare",
    "conditions_of_inventory",
    "conditions_of_nodes",
]
