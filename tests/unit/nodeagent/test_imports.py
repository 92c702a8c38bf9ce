"""What an agent holds in memory for good: its code, and what that imports."""

import subprocess
import sys
import tomllib
from pathlib import Path

from common.release import VERSION
from tests.patience import PATIENCE_S

NEEDLESS = {
    "common.pki.strict": "a strict client's verdict, imported when the first is asked for",
    "csv": "an index of installed files",
    "email.message": "metadata of installed packages",
    "html.entities": "web pages in place of certificates, which people upload to the manager",
    "importlib.metadata": "the version, which is written down in common.release",
    "zipfile": "packages in archives",
}

AGENT = """
import sys
for missing in ("rich", "greenlet"):
    sys.modules[missing] = None  # not on a node
import nodeagent.app, nodeagent.cli
print(*sorted(sys.modules))
"""


def test_a_running_agent_has_imported_nothing_that_it_does_not_use():
    ran = subprocess.run(
        [sys.executable, "-c", AGENT], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    imported = set(ran.stdout.split())
    assert "nodeagent.install.installer" in imported
    assert imported & NEEDLESS.keys() == set()


def test_the_version_is_the_packages():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
