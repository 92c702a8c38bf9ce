"""Well-known CAs and the URLs of their directories."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCa:
    """`title` is its own name, `directory_url` the directory for orders, `staging_url` the one for test orders."""

    title: str
    directory_url: str
    staging_url: str


KNOWN_CAS: Final[Mapping[str, KnownCa]] = MappingProxyType(
    {
        # https://letsencrypt.org/getting-started/ and /docs/staging-environment/
        "letsencrypt": KnownCa(
            title="Let's Encrypt",
            directory_url="https://acme-v02.api.letsencrypt.org/directory",
            staging_url="https://acme-staging-v02.api.letsencrypt.org/directory",
        ),
    }
)
