from nodeagent.core.retention import directory_name, directory_order, next_copy, removable

NAMES = [f"1-00000{number}" for number in range(1, 8)]
OLD = dict.fromkeys(NAMES, 0.0)


def test_three_stay_and_the_oldest_go_first():
    assert removable(OLD, needed=set(), now_s=10_000) == tuple(NAMES[:4])


def test_what_is_needed_stays_however_old():
    gone = removable(OLD, needed={"1-000001", "1-000003"}, now_s=10_000)
    assert gone == ("1-000002", "1-000004")


def test_nothing_goes_before_its_grace_is_over():
    assert removable(OLD, needed=set(), now_s=3600) == ()
    assert removable(OLD | {"1-000002": 9_000.0}, needed=set(), now_s=10_000) == (
        "1-000001",
        "1-000003",
        "1-000004",
    )


def test_foreign_names_are_left_alone():
    assert removable({**OLD, "..": 0.0, "notes": 0.0, "1-2": 0.0}, needed=set(), now_s=10_000) == tuple(
        NAMES[:4]
    )


def test_an_epoch_counts_before_a_generation_and_a_copy_last():
    names = [directory_name(1, 9), directory_name(1, 9, 2), directory_name(1, 10), directory_name(2, 1)]
    assert sorted(names, key=directory_order) == names
    assert directory_order(directory_name(1, 1_000_000)) == (1, 1_000_000, 0)


def test_a_copy_takes_the_first_free_name():
    assert next_copy(set(), 1, 2) == "1-000002"
    assert next_copy({"1-000002", "1-000002.1"}, 1, 2) == "1-000002.2"
