"""A Debian machine with systemd as PID 1, in a container, with our units and this source tree."""

import asyncio
import compileall
import shutil
import sys
from pathlib import Path

from tests.patience import ended
from tests.system.debian import REPOSITORY, debian_root

UNIT = """\
[Unit]
After=basic.target dbus.service
[Service]
Type=oneshot
ExecStart=/bin/bash -x /test/script
StandardOutput=file:/test/out/log
StandardError=inherit
ExecStopPost=/usr/bin/systemctl poweroff --force
"""
COMMANDS = {
    "certcast": ("manager.entry", "operator"),
    "certcast-manager": ("manager.entry", "daemon"),
    "certcast-nodeagent": ("nodeagent.entry", "agent"),
}
COMMAND = """\
#!/usr/bin/python3
import sys
sys.path[:0] = ["/opt/certcast/src", "/opt/certcast/lib"]
from {module} import {function}
if __name__ == "__main__":
    {function}()
"""


async def run_in_machine(script: str, directory: Path, *, timeout_s: float) -> str:
    """Boot, run a shell script as root, power off; return what it printed."""
    commands, out = directory / "opt" / "bin", directory / "out"
    for made in (commands, out, directory / "opt" / "lib"):
        made.mkdir(parents=True, exist_ok=True)
    for package in ("common", "manager", "nodeagent"):
        # copied, because the checkout may stand where the manager's account may not look
        shutil.copytree(REPOSITORY / package, directory / "opt" / "src" / package)
    # the machine may not write there: each of its commands would compile them anew
    compileall.compile_dir(directory / "opt" / "src", quiet=1)
    for name, (module, function) in COMMANDS.items():
        (commands / name).write_text(COMMAND.format(module=module, function=function))
        (commands / name).chmod(0o755)
    (directory / "script").write_text(script)
    (directory / "test.service").write_text(UNIT)
    (directory / "wants.conf").write_text("[Unit]\nWants=certcast-test.service\n")
    libraries = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    units = REPOSITORY / "systemd"
    binds = {
        directory / "opt": "/opt/certcast",
        libraries: "/opt/certcast/lib",
        directory / "script": "/test/script",
        directory / "test.service": "/etc/systemd/system/certcast-test.service",
        directory / "wants.conf": "/etc/systemd/system/multi-user.target.d/test.conf",
        units / "certcast-manager.service": "/etc/systemd/system/certcast-manager.service",
        units / "certcast-manager.socket": "/etc/systemd/system/certcast-manager.socket",
        units / "certcast-nodeagent.service": "/etc/systemd/system/certcast-nodeagent.service",
        units / "sysusers.d/certcast.conf": "/usr/lib/sysusers.d/certcast.conf",
        units / "tmpfiles.d/certcast.conf": "/usr/lib/tmpfiles.d/certcast.conf",
    }
    process = await asyncio.create_subprocess_exec(
        *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network"),
        *("--volatile=overlay", "-D", await debian_root(), f"--bind={out}:/test/out"),
        *(f"--bind-ro={here}:{there}" for here, there in binds.items()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(timeout_s):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await ended(process)
    return (out / "log").read_text(errors="replace")


def stub_root(directory: Path) -> Path:
    """Return a root that holds our units and stubs of what they start, for systemd-analyze."""
    for path in ("opt/certcast/bin/certcast-manager", "opt/certcast/bin/certcast-nodeagent", "bin/sh"):
        stub = directory / path
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text("#!/bin/sh\n")
        stub.chmod(0o755)
    there = directory / "usr/lib/systemd/system"
    there.mkdir(parents=True)
    for unit in [
        *Path("/usr/lib/systemd/system").glob("*.target"),
        *(REPOSITORY / "systemd").glob("certcast-*"),
    ]:
        shutil.copy(unit, there)
    return directory
