"""A manager that renews."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.inplace import query_in_place
from tests.renewals import Renewing, make_renewing


@pytest.fixture(autouse=True)
def _in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    query_in_place(monkeypatch)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Renewing]:
    made = await make_renewing(tmp_path)
    yield made
    await made.store.close()
