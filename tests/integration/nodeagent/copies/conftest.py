import os
from dataclasses import replace
from pathlib import Path

import pytest

from nodeagent.core.services import Copy
from tests.integration.agent_parts import (
    OLD,
    consumer,
    install,
    open_node,
    real_bundle,
    script,
    services,
)


class Service:
    """A service that reads its copy when it is reloaded."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.place = directory / "place"
        self.place.mkdir()
        self.path = self.place / "service.pem"
        self.data = directory / "data"
        self.works()

    def works(self) -> None:
        script(
            self.directory / "reload",
            f"cp {self.path} {self.directory}/loaded; echo x >>{self.directory}/count",
        )

    def fails_once(self) -> None:
        script(
            self.directory / "reload",
            f"cp {self.path} {self.directory}/loaded; [ -e {self.directory}/f ] || {{ touch {self.directory}/f; exit 1; }}",
        )

    def services(self, *, mode: int = 0o400, to: Path | None = None):
        copy = Copy(
            path="server/combined.pem",
            to=str(to or self.path),
            uid=os.geteuid(),
            gid=os.getegid(),
            mode=mode,
        )
        return services(replace(consumer(self.directory / "reload"), copies=(copy,)))

    @property
    def live(self) -> str:
        return (self.data / "current/server/combined.pem").read_text()

    @property
    def loaded(self) -> str:
        return (self.directory / "loaded").read_text()

    @property
    def reloads(self) -> int:
        return len((self.directory / "count").read_text().split())

    def shown(self) -> list[str]:
        return sorted(path.name for path in self.place.iterdir())


def is_in(place: Path, descriptor: int | None) -> bool:
    """Whether this is an open descriptor of the directory."""
    return descriptor is not None and Path(f"/proc/self/fd/{descriptor}").readlink() == place


@pytest.fixture
def service(tmp_path):
    return Service(tmp_path)


@pytest.fixture
async def node(service):
    state = await open_node(service.data, service.services())
    assert (await install(state, real_bundle(OLD, 1))).result == "applied"
    return state
