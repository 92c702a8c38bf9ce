"""`certcast-nodeagent check`: ask a health endpoint, and answer as a monitoring plugin does.

Decides between OK, WARNING, CRITICAL and UNKNOWN (exit statuses 0 to 3, as the Monitoring Plugins' guidelines say), in one
line with performance data.
"""

import http.client
from typing import Final
from urllib.parse import urlsplit

import msgspec

WARNING_DAYS: Final = 30
"""The specification: expiring within 30 days is a warning."""

TIMEOUT_S: Final = 10.0
ANSWER_MAX_BYTES: Final = 256 * 1024

OK, WARNING, CRITICAL, UNKNOWN = range(4)
_NAMES: Final = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


class Finding(msgspec.Struct, frozen=True):
    """One check, as the endpoint tells it."""

    name: str
    ok: bool
    message: str
    value: float | None = None


class Answer(msgspec.Struct, frozen=True):
    """The endpoint's answer."""

    status: str
    checks: list[Finding]


def ask(url: str) -> tuple[int, str]:
    """Ask URL/health/ready; return the exit status and the line to print."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return UNKNOWN, f"CERTCAST UNKNOWN: '{url}' is not http://HOST:PORT"
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/health/ready", headers={"Connection": "close"})
        answer = msgspec.json.decode(connection.getresponse().read(ANSWER_MAX_BYTES), type=Answer)
    except (OSError, http.client.HTTPException) as error:
        return CRITICAL, f"CERTCAST CRITICAL: the agent does not answer at {url}: {error}"
    except msgspec.DecodeError:
        return UNKNOWN, f"CERTCAST UNKNOWN: what answers at {url} is not a certcast nodeagent"
    finally:
        connection.close()
    return judge(answer)


def judge(answer: Answer) -> tuple[int, str]:
    """Return the exit status and the line for an answer."""
    endpoints = [check for check in answer.checks if check.name.startswith("endpoint ")]
    days = [check.value for check in endpoints if check.value is not None]
    least = min(days, default=None)
    failed = [f"{check.name}: {check.message}" for check in answer.checks if not check.ok]
    data = f"endpoints={len(endpoints)}"
    if least is not None:
        data = f"days_left={least:g};{WARNING_DAYS};0 {data}"
    if failed:
        code, text = CRITICAL, "; ".join(failed)
    elif least is not None and least <= WARNING_DAYS:
        code, text = WARNING, f"a served certificate expires in {least:.0f} days"
    elif least is not None:
        said = "1 endpoint serves" if len(endpoints) == 1 else f"{len(endpoints)} endpoints serve"
        code, text = OK, f"{said} what is installed, {least:.0f} days left"
    else:
        code, text = OK, "; ".join(check.message for check in answer.checks)
    line = " ".join(text.replace("|", "/").split())
    return code, f"CERTCAST {_NAMES[code]}: {line} | {data}"
