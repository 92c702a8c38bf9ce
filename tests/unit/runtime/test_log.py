import json
import logging
import subprocess
import sys

import pytest
import structlog

from common.runtime import log as logs
from tests import pki
from tests.daemon_logging import daemon_logging
from tests.patience import PATIENCE_S

KEY = pki.make_leaf(None).key_pem


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_private_key_never_leaves_through_the_log(capsys: pytest.CaptureFixture[str], style: logs.Style):
    with daemon_logging(style=style):
        log = structlog.get_logger("manager.test")
        log.info("fleet.pushed", message=f"before {KEY} after", detail={"deep": [KEY, (KEY.encode(),)]})
        try:
            int(KEY)
        except ValueError:
            log.exception("http.request_failed")
        logging.getLogger("asyncssh").warning("foreign %s", KEY)
    body = KEY.splitlines()[1]
    said = capsys.readouterr().err
    assert "before" in said
    assert "foreign" in said
    assert body not in said
    assert logs.HIDDEN in said


def test_lines_for_the_journal_are_json_with_time_and_level(capsys: pytest.CaptureFixture[str]):
    with daemon_logging(style="auto"):
        structlog.get_logger("manager.test").warning("push.nacked", node="n1")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["node"]) == ("push.nacked", "warning", "n1")
    assert line["timestamp"].endswith("Z")


def test_the_level_is_ours_and_foreign_libraries_are_heard_from_warning_up(
    capsys: pytest.CaptureFixture[str],
):
    with daemon_logging(style="json", level="info"):
        structlog.get_logger("manager.test").debug("push.offered")
        logging.getLogger("asyncssh").info("connection accepted")
        structlog.get_logger("nodeagent.test").info("agent.started")
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["agent.started"]


def test_reading_the_built_in_roots_says_nothing_in_the_journal():
    script = (
        "from common.runtime import log; log.configure(style='json')\n"
        "from manager.fleet.builtin import load_builtin\n"
        "from common.pki.strict import StrictClient\n"
        "StrictClient(load_builtin())"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "default", "-c", script],
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (ran.stdout, ran.stderr) == ("", "")
