"""`certcast-nodeagent check`: ask a health endpoint, and answer as a monitoring plugin does.

Decides between OK, WARNING, CRITICAL and UNKNOWN (exit statuses 0 to 3, as the Monitoring Plugins' guidelines say), in one
line with performance data.
"""

import http.client
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from common.pki.expiry import ALARM_DAYS, DAY_S
from common.words import span_of
from nodeagent.health.check import Check
from nodeagent.health.holder import stranger_at

ENDPOINT: Final = "endpoint "
LABELS_MAX: Final = 16
"""Of as many endpoints the days left are listed one by one; a line of monitoring has its limits."""

TIMEOUT_S: Final = 10.0
ANSWER_MAX_BYTES: Final = 256 * 1024

OK, WARNING, CRITICAL, UNKNOWN = range(4)
_NAMES: Final = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


class Answer(msgspec.Struct, frozen=True):
    """What /health/ready answers, as far as the plugin reads it."""

    status: str
    checks: list[Check]


def ask(url: str) -> tuple[int, str]:
    """Ask URL/health/ready; return the exit status and the line to print."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or http.client.HTTP_PORT
        is_usable = parts.scheme == "http" and host is not None and "@" not in parts.netloc
        (host or "").encode("idna")
        connection = http.client.HTTPConnection(host or "", port, timeout=TIMEOUT_S)
    except (ValueError, http.client.InvalidURL):
        is_usable = False
    if not is_usable:
        return UNKNOWN, f"CERTCAST UNKNOWN: '{url}' is not http://HOST:PORT"
    try:
        connection.request("GET", "/health/ready", headers={"Connection": "close"})
        answer = msgspec.json.decode(connection.getresponse().read(ANSWER_MAX_BYTES), type=Answer)
    except (OSError, http.client.HTTPException) as error:
        detail = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return CRITICAL, f"CERTCAST CRITICAL: the agent does not answer at {url}: {detail}"
    except msgspec.DecodeError:
        return UNKNOWN, f"CERTCAST UNKNOWN: what answers at {url} is not a certcast nodeagent"
    finally:
        connection.close()
    if stranger := stranger_at(host or "", port):
        return CRITICAL, (
            f"CERTCAST CRITICAL: what answers at {url} is a process of '{stranger}', which is not the agent: "
            "end it, and start the agent again"
        )
    if not answer.checks:
        return UNKNOWN, f"CERTCAST UNKNOWN: what answers at {url} says nothing about any check"
    return judge(answer)


def judge(answer: Answer) -> tuple[int, str]:
    """Return the exit status and the line for an answer."""
    endpoints = [check for check in answer.checks if check.name.startswith(ENDPOINT)]
    timed = [(check, check.value) for check in endpoints if check.value is not None]
    failed = [check for check in answer.checks if not check.ok and check.level != "warning"]
    warned = [f"{check.name}: {check.message}" for check in answer.checks if not check.ok]
    warned += [
        f"{check.name}: the served certificate expires in {span_of(days * DAY_S)}"
        for check, days in timed
        if check.ok and days <= _warns_at(check)
    ]
    if failed:
        code, text = CRITICAL, "; ".join(f"{check.name}: {check.message}" for check in failed)
    elif warned:
        code, text = WARNING, "; ".join(warned)
    elif timed:
        detail = "1 endpoint serves" if len(endpoints) == 1 else f"{len(endpoints)} endpoints serve"
        code, text = OK, f"{detail} what is installed, {span_of(min(days for _, days in timed) * DAY_S)} left"
    else:
        code, text = OK, "; ".join(check.message for check in answer.checks)
    line = " ".join(text.replace("|", "/").split())
    return code, f"CERTCAST {_NAMES[code]}: {line} | {_performance(len(endpoints), timed)}"


def _performance(count: int, timed: Sequence[tuple[Check, float]]) -> str:
    """Return the numbers: days left at least, and of each endpoint. `30:` is the plugins' range for "below 30 matters"."""
    data = [f"endpoints={count}"]
    if timed:
        least, days = min(timed, key=lambda each: each[1])
        data.insert(0, f"days_left={days:g};{_warns_at(least):g}:;0:")
        data += [
            f"'{_label(check.name)}'={days:g};{_warns_at(check):g}:;0:" for check, days in timed[:LABELS_MAX]
        ]
    return " ".join(data)


def _warns_at(check: Check) -> float:
    """Return the days left at which an endpoint begins to matter."""
    return check.warning if check.warning is not None else ALARM_DAYS


def _label(name: str) -> str:
    """Return an endpoint's name without what the guidelines forbid in a label."""
    return name.removeprefix(ENDPOINT).translate({ord(char): "_" for char in "'=|"})
