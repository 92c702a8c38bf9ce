"""Every port is opened by the one accept loop that rests when the system lacks something."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
OTHERS = re.compile(
    r"\b(start_server|create_server|start_unix_server|create_unix_server|TCPSite|SockSite|run_app)\("
)


def test_nobody_listens_but_through_the_acceptor():
    found = {
        str(path.relative_to(ROOT))
        for room in ("common", "manager", "nodeagent")
        for path in (ROOT / room).rglob("*.py")
        if OTHERS.search(path.read_text())
    }
    assert found == {"common/runtime/acceptor.py"}
