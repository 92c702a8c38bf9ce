"""Requests that delete several things at once. Pure."""

from common.api.values import ConfirmationText, Ids, RequestBody


class ToDelete(RequestBody, frozen=True, kw_only=True):
    """Which to delete, all or none; `confirm` as for an upload, in place of `force`."""

    ids: Ids
    force: bool = False
    confirm: ConfirmationText | None = None
