"""A node's name is checked where it enters: no use case sees another one."""

import pytest

from tests.integration.api import ApiClient

NO_NAME = "Bad..name"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "nodes", {"name": NO_NAME}),
        ("POST", "push", {"nodes": [NO_NAME]}),
        ("POST", "push", {"nodes": [NO_NAME], "dry_run": True}),
        ("GET", f"nodes/{NO_NAME}", None),
        ("DELETE", f"nodes/{NO_NAME}", None),
        ("POST", f"nodes/{NO_NAME}/join-token", None),
        ("DELETE", f"nodes/{NO_NAME}/join-tokens/1", None),
        ("GET", f"nodes/{NO_NAME}/generations", None),
        ("GET", f"nodes/{NO_NAME}/generations/1/difference", None),
        ("GET", f"nodes/{NO_NAME}/generations/1/difference?from=2", None),
        ("POST", f"nodes/{NO_NAME}/generations/1/republish", None),
    ],
)
async def test_what_is_no_node_name_is_refused_and_nothing_is_written_down(
    api: ApiClient, method: str, path: str, body: dict[str, object] | None
):
    before = (await api.call("GET", "audit"))[1]
    status, answer = await api.call(method, path, body)
    assert (status, answer["error"]["reason"], answer["error"]["field"]) == (400, "invalid", "name")
    assert (await api.call("GET", "audit"))[1] == before
