"""Runs the real openssl for a test; inputs and outputs are files in the test's own directory."""

import subprocess
from pathlib import Path


def openssl(*arguments, cwd: Path, stdin: str | None = None) -> str:
    """Run openssl and return what it printed; a failure shows what it complained of."""
    done = subprocess.run(
        ["openssl", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
