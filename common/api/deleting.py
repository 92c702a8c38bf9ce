"""What requests send to delete several things at once. Pure."""

import msgspec

from common.api.values import Ids


class ToDelete(msgspec.Struct, frozen=True, kw_only=True):
    """Which to delete, all or none; `confirm` as for an upload, in place of `force`."""

    ids: Ids
    force: bool = False
    confirm: str | None = None
