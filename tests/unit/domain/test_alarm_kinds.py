from collections import Counter
from pkgutil import iter_modules

from common.explained.meanings import ALARM_TITLES
from manager.domain import alarms
from manager.domain.alarms import ALARM_SPECS, AlarmKind

SHARED = {"about", "kinds", "records", "registry"}


def test_each_kind_has_a_file_of_its_own_and_is_registered():
    files = {module.name for module in iter_modules(alarms.__path__)} - SHARED
    assert files == set(AlarmKind) == set(ALARM_SPECS)
    assert {kind: spec.kind for kind, spec in ALARM_SPECS.items()} == {kind: kind for kind in AlarmKind}


def test_no_number_is_used_twice():
    assert max(Counter(spec.number for spec in ALARM_SPECS.values()).values()) == 1


def test_each_kind_has_a_title():
    assert {kind: spec.title for kind, spec in ALARM_SPECS.items()} == ALARM_TITLES
