"""Alarms: the conditions that an operator must see, and when alarms about them are raised and lowered.

Level-triggered: an alarm is active as long as its condition is found, even if the event that caused it was
missed. The shell supplies the state and the clock, and stores the alarms. Each kind has its own file with
number, level, delay, condition and words; `registry` lists them all.

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
