"""Requests that delete several things at once. Pure."""

import msgspec

from common.api.values import ConfirmationText, Ids


class ToDelete(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which to delete, all or none; `confirm` as for an upload, in place of `force`."""

    ids: Ids
    force: bool = False
    confirm: ConfirmationText | None = None
