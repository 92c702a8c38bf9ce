import weakref
from collections import UserDict
from collections.abc import Mapping

import pytest

from manager.infinity_api.contract.query import read_query, select
from tests.unit.infinity_api.examples import WORKER


class Made(Mapping):
    """Counts the rows that are made of it, and those that somebody keeps."""

    def __init__(self, count: int) -> None:
        self.made, self.most_kept, self._count = 0, 0, count
        self._kept = weakref.WeakSet()

    def __getitem__(self, number):
        row = Kept(id=number, name=f"n{number}", vm_cpu_count=number % 7)
        self._kept.add(row)
        self.made, self.most_kept = self.made + 1, max(self.most_kept, len(self._kept))
        return row

    def __iter__(self):
        return iter(range(self._count))

    def __len__(self):
        return self._count


class Kept(UserDict):
    __hash__ = object.__hash__


@pytest.mark.parametrize(
    ("parameters", "looks"),
    [
        ([], 0),
        ([("limit", "0")], 0),
        ([("name", "n7"), ("vm_cpu_count__lt", "9")], 1),
        ([("order_by", "name")], 1),
        ([("name__contains", "n"), ("name__iregex", "N"), ("order_by", "-name")], 4),
    ],
)
def test_rows_are_made_only_to_be_looked_at_and_none_is_kept(parameters, looks):
    rows = Made(1000)
    select(read_query(WORKER, parameters), rows)
    assert rows.made == looks * len(rows)
    assert rows.most_kept <= 2
