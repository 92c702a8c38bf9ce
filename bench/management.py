"""The management API over a large store: a list of 100 certificates, filtered and ordered, and how that grows.

Over the real store, use cases and HTTPS endpoint, as in `bench.catalogue`.
"""

import gc
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from bench.catalogue import Took, fill, p95
from common.ids import NodeName
from manager.infinity_api.contract.resources.certificates import TLS_CERTIFICATE
from manager.usecases.workers import Workers
from tests.integration.api import real_api
from tests.integration.infinity_api.platform import Client

QUERIES = {
    "ordered": {"subject_name__icontains": "example", "order_by": "-end_date"},
    "found": {"subject_name": "node7.example.com"},
    "pattern": {"subject_name__iregex": "^NODE[0-9]+[13579]\\.", "order_by": "subject_name"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The 95th percentile of some rounds, and the bytes of the first answer."""

    certificates: int
    ordered: Took
    found: Took
    pattern: Took
    size_bytes: int


async def measure(count: int) -> Figures:
    """Fill a store with `count` certificates, and measure."""
    with tempfile.TemporaryDirectory(prefix="certcast-bench-") as directory:
        async with Workers() as workers, real_api(Path(directory), workers, watched=False) as api:
            await fill(api, count, [NodeName(f"n{number}") for number in range(count // 10)])
            client, times, sizes = Client(api), {}, []
            for name, query in QUERIES.items():
                path = f"{TLS_CERTIFICATE.path}?{urlencode({**query, 'limit': 100})}"

                async def ask(path: str = path) -> None:
                    answer = await client.call("GET", path)
                    if answer.status != 200:
                        raise AssertionError(answer)
                    sizes.append(len(answer.body))

                # the first time, everything is decoded, and a password is proven
                await ask()
                # as the manager does when it starts
                gc.collect()
                gc.freeze()
                times[name] = await p95(ask)
            return Figures(certificates=count, size_bytes=sizes[0], **times)
