"""How the vendor's add-on for Splunk asks for alarms and reads them: its times have a fraction, and its pages follow `next`."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

FORM = "%Y-%m-%dT%H:%M:%S.%f"
Fetch = Callable[[str], Awaitable[dict[str, Any]]]


def read_time(text: str) -> datetime:
    """Return a time; without a fraction, or with an offset, it is none."""
    return datetime.strptime(text, FORM)  # noqa: DTZ007 - it has no offset


async def pages(fetch: Fetch, path: str, query: dict[str, Any]) -> list[dict[str, Any]]:
    at: str | None = f"{path}/?{urlencode({'limit': 100, 'offset': 0} | query)}"
    found: list[dict[str, Any]] = []
    while at is not None:
        content = await fetch(at)
        found += content["objects"]
        at = content["meta"]["next"]
    return found


async def alarms(
    fetch: Fetch, since: datetime, *, levels: Sequence[str] = (), names: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the alarms since a time: those raised and those lowered are asked for one after the other."""
    found: dict[int, dict[str, Any]] = {}
    for moment in ("time_raised", "time_lowered"):
        query = {f"{moment}__gte": since.strftime(FORM)}
        for level in levels or [None]:
            for name in names or [None]:
                more = ({"level": level} if level else {}) | (
                    {"name": name.lower().replace(" ", "_")} if name else {}
                )
                for each in await pages(fetch, "/api/admin/history/v1/alarm", query | more):
                    read_time(each["time_raised"])
                    found[each["id"]] = each
    return list(found.values())
