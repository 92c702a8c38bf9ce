from common.runtime.connection_limit import AdmittedConnection, ConnectionLimit


def full(
    *sources: str, per_source: int = 10
) -> tuple[ConnectionLimit[AdmittedConnection], list[AdmittedConnection]]:
    places: ConnectionLimit[AdmittedConnection] = ConnectionLimit(total=len(sources), per_source=per_source)
    held = [
        AdmittedConnection(source=source, yields_at_s=float(number)) for number, source in enumerate(sources)
    ]
    for place in held:
        places.take(place)
    return places, held


def test_there_is_room_up_to_the_total_and_up_to_a_sources_own():
    places, held = full("a", "a", "b", per_source=2)
    assert not places.has_room_for("b")
    places.free(held[2])
    assert places.has_room_for("b")
    assert not places.has_room_for("a")
    places.free(held[2])
    assert (len(places), places.held_by("a"), places.held_by("b")) == (2, 2, 0)


def test_the_first_to_go_is_the_longest_yielding_of_the_source_that_holds_most():
    places, held = full("b", "a", "a", "c")
    assert places.first_to_go("new", 9.0) is held[1]


def test_nobody_goes_for_a_source_that_holds_as_many():
    places, _ = full("a", "b", "c")
    places.free(next(place for place in places._held if place.source == "c"))
    places.take(AdmittedConnection(source="d"))
    assert places.first_to_go("d", 9.0) is None


def test_a_source_that_is_full_gives_up_one_of_its_own():
    places, held = full("a", "a", "b", "b", "b", per_source=2)
    assert places.first_to_go("a", 9.0) is held[0]


def test_who_is_being_served_never_goes():
    places, held = full("a", "a", "a")
    for place in held:
        place.yields_at_s = float("inf")
    assert places.first_to_go("new", 1e9) is None


def test_who_is_young_does_not_go_yet():
    places, held = full("a", "a", "a")
    for place in held:
        place.yields_at_s = 5.0
    assert places.first_to_go("new", 4.9) is None
    assert places.first_to_go("new", 5.0) is held[0]


def test_who_is_spared_gives_up_none_but_to_itself():
    places, held = full("a", "a", "b", "b", "b", per_source=3)
    assert places.first_to_go("new", 9.0, is_spared={"b"}.__contains__) is held[0]
    assert places.first_to_go("new", 9.0, is_spared={"a", "b"}.__contains__) is None
    assert places.first_to_go("b", 9.0, is_spared={"b"}.__contains__) is held[2]


def test_a_stranger_goes_for_a_known_source_that_holds_as_many_or_more_however_young_it_is():
    places, held = full("a", "b", "known", "known")
    assert places.first_to_go("known", 9.0) is None
    known = frozenset({"known"})
    assert places.first_stranger_to_go("known", known.__contains__) is held[0]
    held[0].yields_at_s = float("inf")
    assert places.first_stranger_to_go("known", known.__contains__) is held[1]
    assert places.first_stranger_to_go("known", lambda _source: True) is None


def test_a_known_source_takes_no_more_from_strangers_than_one_may_have():
    places, _ = full("a", "known", "known", per_source=2)
    assert places.first_stranger_to_go("known", frozenset({"known"}).__contains__) is None
