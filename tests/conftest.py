"""What all tests share: what a missing service means."""

import os
import shutil

import pytest

REQUIRE_SERVICES = bool(os.environ.get("CERTCAST_REQUIRE_SERVICES"))
SBIN = "/usr/sbin:/usr/local/sbin:/sbin"


def find_program(name: str) -> str | None:
    """Return a program's path, looking where Debian puts servers too."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}")


@pytest.fixture(autouse=True)
def _services(request: pytest.FixtureRequest) -> None:
    """Skip a test marked `services("nginx", ...)` where one of these is missing; fail where they are required.

    "root" stands for the right to do what root does.
    """
    marker = request.node.get_closest_marker("services")
    if marker is None:
        return
    missing = [
        name for name in marker.args if (os.geteuid() != 0 if name == "root" else find_program(name) is None)
    ]
    if not missing:
        return
    sentence = f"{', '.join(missing)} missing; .ci/run installs what the tests need"
    if REQUIRE_SERVICES:
        pytest.fail(sentence)
    pytest.skip(sentence)
