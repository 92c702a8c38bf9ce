"""Where each manager is dialled, as it said itself."""

from manager.store.store import Store


async def test_what_managers_said_is_read_in_the_order_in_which_they_joined(store: Store):
    for name in ("management", "management-10", "management-2"):
        await store.nodes.add(name, "management", names=[], addresses=[], now_s=0)
        await store.address_book.keep(name, [f"{name}.example:9422"])
    assert list((await store.address_book.read()).items()) == [
        ("management", ("management.example:9422",)),
        ("management-10", ("management-10.example:9422",)),
        ("management-2", ("management-2.example:9422",)),
    ]


async def test_only_the_last_word_of_a_manager_that_is_there_counts(store: Store):
    for name in ("management", "management-2"):
        await store.nodes.add(name, "management", names=[], addresses=[], now_s=0)
    await store.nodes.add("n1", "node", names=[], addresses=[], now_s=0)
    await store.address_book.keep("management", ["a:1"])
    await store.address_book.keep("management", ["b:1", "[2001:db8::1]:2"])
    await store.address_book.keep("management-2", ["c:1"])
    await store.address_book.keep("n1", ["d:1"])
    await store.nodes.remove("management-2")
    assert await store.address_book.read() == {"management": ("b:1", "[2001:db8::1]:2")}


async def test_a_name_that_is_given_again_has_nothing_of_the_one_before(store: Store):
    await store.nodes.add("management-2", "management", names=[], addresses=[], now_s=0)
    await store.address_book.keep("management-2", ["a:1"])
    await store.nodes.remove("management-2")
    await store.address_book.forget("management-2")
    await store.nodes.add("management-2", "management", names=[], addresses=[], now_s=0)
    assert await store.address_book.read() == {}
