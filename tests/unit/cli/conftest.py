"""A fake API, and the command that asks it."""

from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from manager.cli.app import app
from tests.unit.cli.fake_api import FakeApi, running

PASSWORD = "copper-horse-battery"

Run = Callable[..., Result]


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with running(FakeApi()) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "USER", "PASSWORD", "TOKEN", "CA", "INSECURE"):
        monkeypatch.delenv(f"CERTCAST_{name}", raising=False)


@pytest.fixture
def run(api: FakeApi) -> Run:
    """Run `certcast` as anna, against the fake."""

    def run_it(*arguments: str, text: str = "", **variables: str | None) -> Result:
        given = {
            "CERTCAST_URL": api.url,
            "CERTCAST_USER": "anna",
            "CERTCAST_PASSWORD": PASSWORD,
            "COLUMNS": "200",
            **variables,
        }
        return CliRunner().invoke(app, list(arguments), input=text, env=given)

    return run_it
