from collections import Counter
from pkgutil import iter_modules

from common.explained.meanings import ALARM_TITLES
from manager.domain import alarms
from manager.domain.alarms import TRAITS, AlarmKind

SHARED = {"about", "kinds", "records", "registry"}


def test_each_kind_has_a_file_of_its_own_and_is_registered():
    files = {module.name for module in iter_modules(alarms.__path__)} - SHARED
    assert files == set(AlarmKind) == set(TRAITS)
    assert {kind: trait.kind for kind, trait in TRAITS.items()} == {kind: kind for kind in AlarmKind}


def test_no_number_is_used_twice():
    assert max(Counter(trait.number for trait in TRAITS.values()).values()) == 1


def test_each_kind_has_a_title():
    assert {kind: trait.title for kind, trait in TRAITS.items()} == ALARM_TITLES
