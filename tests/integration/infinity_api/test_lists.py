"""Lists: pages, filters, orders, several at once, and long ones."""

import aiohttp
import pytest

from common.errors import StorageError
from manager.http.middleware import HEAVY
from manager.http.pieces import AT_ONCE
from manager.http.queueing import FairQueue
from manager.infinity_api import handlers
from manager.infinity_api.documents import Documents
from tests.fakes import sdk_client
from tests.integration.infinity_api.platform import (
    AUTHORITIES,
    CERTIFICATES,
    CONFIGURATION,
    LOCATIONS,
    MANAGERS,
    REQUESTS,
    ROOT,
    WORKERS,
    Client,
    leaf,
    upload,
    worker,
)

QUERIES = {
    "private_key__contains=x": "The 'private_key' field does not allow filtering.",
    "nodes=x": "The 'nodes' field does not allow filtering.",
    "subject_name__like=x": "'like' is not an allowed filter on the 'subject_name' field.",
    "order_by=colour": "No matching 'colour' field for ordering on.",
    "limit=x": "Invalid limit 'x' provided. Please provide a positive integer.",
    "offset=-1": "Invalid offset '-1' provided. Please provide a positive integer >= 0.",
}


async def test_ids_that_are_no_numbers_and_filters_of_the_wrong_type_have_the_frameworks_words(
    client: Client,
):
    answer = await client.call("GET", f"{CERTIFICATES}seven/")
    assert answer.status == 404
    assert set(answer.json) == {"error_message"}
    answer = await client.call("GET", CERTIFICATES, params={"id": "seven"})
    assert (answer.status, answer.error) == (400, "Invalid resource lookup data provided (mismatched type).")


async def test_what_a_list_cannot_be_asked_is_400_in_the_frameworks_words(client: Client):
    for query, error in QUERIES.items():
        for method in ("GET", "DELETE"):
            answer = await client.call(method, f"{CERTIFICATES}?{query}")
            assert (answer.status, answer.error) == (400, error)
    assert (await client.get(CERTIFICATES))["meta"]["total_count"] == 1


async def test_searches_for_fields_that_are_not_there_are_ignored(client: Client):
    for path in (CERTIFICATES, AUTHORITIES, REQUESTS, f"{ROOT}/status/v1/alarm/"):
        answer = await client.call("GET", f"{path}?nickname__icontains=x&start_time__gte=2020&nonsense=1")
        assert answer.status == 200
    for path in (CERTIFICATES, AUTHORITIES, REQUESTS):
        assert (await client.call("GET", f"{path}?name=x&name__icontains=x")).status == 200
    assert (await client.get(CERTIFICATES, name="x"))["meta"]["total_count"] == 1


async def test_several_are_read_changed_made_and_deleted_at_once(client: Client):
    one, two = await client.post(LOCATIONS, {"name": "one"}), await client.post(LOCATIONS, {"name": "two"})
    several = await client.get(f"{LOCATIONS}set/2;1;77;x/")
    assert [each["name"] for each in several["objects"]] == ["two", "one"]
    assert several["not_found"] == ["77", "x"]
    assert "not_found" not in await client.get(f"{LOCATIONS}set/1/")
    answer = await client.call(
        "PATCH",
        LOCATIONS,
        {"objects": [{"resource_uri": one, "description": "d"}, {"name": "three"}], "deleted_objects": [two]},
    )
    assert answer.status == 202
    assert [each["name"] for each in answer.json["objects"]] == ["one", "three"]
    assert answer.json["deleted_objects"] == [two]
    assert [each["description"] for each in (await client.get(LOCATIONS))["objects"]] == ["d", ""]
    refused = await client.call("PATCH", LOCATIONS, {"objects": [{"name": "four"}, {"resource_uri": two}]})
    assert refused.status == 404
    partly = await client.call("PATCH", LOCATIONS, {"objects": [{"name": "five"}, {"name": "one"}]})
    assert (partly.status, "the 1 before it were carried out" in partly.error) == (400, True)
    assert [each["name"] for each in (await client.get(LOCATIONS))["objects"]] == ["one", "three", "five"]


async def test_several_that_are_changed_but_not_deleted_are_not_to_be_sent_again(client: Client, monkeypatch):
    one = await client.post(LOCATIONS, {"name": "one"})

    async def fail(*_args: object) -> None:
        raise StorageError("the store says no")

    monkeypatch.setattr(client.api.context.store.documents, "delete", fail)
    both = {"objects": [{"name": "two"}], "deleted_objects": [one]}
    partly = await client.call("PATCH", LOCATIONS, both)
    assert (partly.status, partly.error) == (
        400,
        "deleted_objects: the store says no; the 1 before it were carried out.",
    )
    assert [each["name"] for each in (await client.get(LOCATIONS))["objects"]] == ["one", "two"]
    neither = await client.call("PATCH", LOCATIONS, {"objects": [], "deleted_objects": [one]})
    assert (neither.status, neither.error) == (503, "the store says no")


async def test_a_list_is_deleted_as_far_as_its_filter_goes_all_or_nothing(client: Client):
    for number in range(3):
        await client.post(CERTIFICATES, upload(leaf(f"host{number}.example.test")))
    assert (
        await client.call("DELETE", f"{CERTIFICATES}?subject_name__in=host0.example.test,host1.example.test")
    ).status == 204
    assert await client.names(CERTIFICATES, order_by="id") == ["manager.example.test", "host2.example.test"]
    oslo = await client.post(LOCATIONS, {"name": "Oslo"})
    await client.post(LOCATIONS, {"name": "Bergen"})
    await client.post_worker(worker(1, system_location=oslo))
    assert (await client.call("DELETE", LOCATIONS)).status == 400
    assert (await client.get(LOCATIONS))["meta"]["total_count"] == 2
    assert (await client.call("DELETE", WORKERS)).status == 204
    assert (await client.call("DELETE", LOCATIONS)).status == 204
    assert (await client.get(LOCATIONS))["objects"] == []
    assert (await client.get(MANAGERS))["meta"]["total_count"] == 1


async def test_a_long_list_is_made_and_sent_in_pieces(client: Client, monkeypatch):
    store = client.api.context.store.documents
    count = AT_ONCE * 2 + 7
    async with client.api.context.store.transaction():
        for number in range(count):
            await store.add("dns_server", {"address": f"198.51.{number // 256}.{number % 256}"})
    made, whole = [], Documents.complete

    async def watched(self: Documents, rows: list) -> object:
        made.append(len(rows))
        return await whole(self, rows)

    monkeypatch.setattr(Documents, "complete", watched)
    path = f"{CONFIGURATION}/dns_server/?limit=0&order_by=-id"
    answer = await client.call("GET", path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert made == [AT_ONCE, AT_ONCE, 7]
    listed = sdk_client.read_list("configuration/v1/dns_server", answer.body)
    assert (listed["meta"]["total_count"], listed["meta"]["next"]) == (count, "")
    ids = [each["id"] for each in listed["objects"]]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == count
    head = await client.call("HEAD", path)
    assert (head.status, head.body) == (200, b"")


async def test_objects_that_are_named_again_and_again_are_shown_once(client: Client):
    for name in ("a", "b"):
        await client.post(LOCATIONS, {"name": name})
    asked = ";".join(["2", "1", "01", "2", "9", "x", "9"] * 500)
    found = await client.get(f"{LOCATIONS}set/{asked}/")
    assert [each["id"] for each in found["objects"]] == [2, 1]
    assert found["not_found"] == ["9", "x"]


async def test_many_objects_that_are_named_are_sent_in_pieces_and_take_turns(client: Client, monkeypatch):
    store = client.api.context.store.documents
    count = AT_ONCE * 2 + 7
    async with client.api.context.store.transaction():
        for number in range(count):
            await store.add("dns_server", {"address": f"198.51.{number // 256}.{number % 256}"})
    made, whole, turns = [], Documents.complete, []
    take = FairQueue.take

    async def watched(self: Documents, rows: list) -> object:
        made.append(len(rows))
        return await whole(self, rows)

    def counted(self: FairQueue, user: str, **options: object) -> object:
        turns.append(self._limit)
        return take(self, user, **options)

    monkeypatch.setattr(Documents, "complete", watched)
    monkeypatch.setattr(FairQueue, "take", counted)
    asked = [*range(count, 0, -1), count + 1]
    path = f"{CONFIGURATION}/dns_server/set/{';'.join(map(str, asked))}/"
    found = await client.get(path)
    assert made == [AT_ONCE, AT_ONCE, 7]
    assert [each["id"] for each in found["objects"]] == asked[:-1]
    assert found["not_found"] == [str(count + 1)]
    for shown, takes_turn in ((path, True), (f"{CONFIGURATION}/dns_server/set/1;2/", False)):
        turns.clear()
        await client.call("HEAD", shown)
        assert (HEAVY in turns) is takes_turn


async def test_a_long_list_leaves_out_what_was_deleted_while_it_was_sent(client: Client, monkeypatch):
    monkeypatch.setattr(handlers, "AT_ONCE", 2)
    store, whole = client.api.context.store.documents, Documents.complete
    for number in range(6):
        await store.add("dns_server", {"address": f"198.51.100.{number}"})

    async def fewer(self: Documents, rows: list) -> object:
        return [row for row in await whole(self, rows) if row["id"] not in {3, 4, 6}]

    monkeypatch.setattr(Documents, "complete", fewer)
    found = await client.get(f"{CONFIGURATION}/dns_server/", limit=0)
    assert [each["id"] for each in found["objects"]] == [1, 2, 5]


async def test_a_long_list_that_fails_on_the_way_is_cut_off_and_never_looks_whole(
    client: Client, monkeypatch
):
    monkeypatch.setattr(handlers, "AT_ONCE", 2)
    store, whole = client.api.context.store.documents, Documents.complete
    for number in range(6):
        await store.add("dns_server", {"address": f"198.51.100.{number}"})
    path, failing_at = f"{CONFIGURATION}/dns_server/?limit=0", 5

    async def failing(self: Documents, rows: list) -> object:
        if any(row["id"] == failing_at for row in rows):
            raise StorageError("the disk is gone")
        return await whole(self, rows)

    monkeypatch.setattr(Documents, "complete", failing)
    with pytest.raises(aiohttp.ClientError):
        await client.call("GET", path)
    failing_at = 1
    assert (await client.call("GET", path)).status == 503


async def test_lists_are_ordered_by_the_frameworks_older_word_too(client: Client):
    for name in ("b", "a", "c"):
        await client.post(LOCATIONS, {"name": name})
    found = await client.get(LOCATIONS, sort_by="-name")
    assert [each["name"] for each in found["objects"]] == ["c", "b", "a"]
    found = await client.get(LOCATIONS, sort_by="-name", order_by="name")
    assert [each["name"] for each in found["objects"]] == ["a", "b", "c"]
    assert (await client.call("GET", f"{LOCATIONS}?sort_by=x")).status == 400


async def test_text_fields_take_numbers_and_a_page_beyond_the_end_is_empty(client: Client):
    at = await client.post(LOCATIONS, {"name": 7, "description": 0.5})
    shown = await client.get(at)
    assert (shown["name"], shown["description"]) == ("7", "0.5")
    beyond = await client.get(LOCATIONS, offset=50, format="json")
    assert (beyond["objects"], beyond["meta"]["total_count"], beyond["meta"]["next"]) == ([], 1, None)


@pytest.mark.parametrize("stray", ["nmae=Oslo", "nmae__icontains=Oslo", "resource_uri=x", "limit=1&id_in=1"])
async def test_a_filter_of_no_field_deletes_nothing(client: Client, stray):
    assert (await client.call("POST", LOCATIONS, {"name": "Oslo"})).status == 201
    refused = await client.call("DELETE", f"{LOCATIONS}?{stray}")
    assert refused.status == 400
    assert "nothing was deleted" in refused.json["error"]
    assert (await client.call("GET", LOCATIONS)).json["meta"]["total_count"] == 1
    assert (await client.call("DELETE", f"{LOCATIONS}?name=Oslo&format=json&limit=0")).status == 204
    assert (await client.call("GET", LOCATIONS)).json["meta"]["total_count"] == 0
