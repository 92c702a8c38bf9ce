from common.runtime.buckets import KEYS_MAX, Bucket, Buckets


def test_a_rate_may_be_exceeded_for_a_moment_and_then_holds():
    bucket = Bucket(burst=3, per_s=2, now_s=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(1.0) for _ in range(3)] == [True, True, False]


def test_what_is_spent_beyond_the_rate_is_waited_for():
    bucket = Bucket(burst=100, per_s=50, now_s=0.0)
    assert bucket.spend(0.0, 100) == 0
    assert bucket.spend(0.0, 25) == 0.5
    assert bucket.spend(0.5, 0) == 0


def test_each_key_has_a_bucket_of_its_own_and_few_are_remembered():
    buckets: Buckets[str] = Buckets(burst=1, per_s=1)
    assert buckets.take("a", 0.0)
    assert not buckets.take("a", 0.0)
    assert buckets.take("b", 0.0)
    for number in range(KEYS_MAX + 10):
        buckets.take(str(number), 0.0)
    assert len(buckets) == KEYS_MAX


def test_a_wait_is_as_long_as_the_next_one_would_be_too_early_and_asking_is_not_remembered():
    buckets: Buckets[str] = Buckets(burst=2, per_s=1 / 6)
    assert [buckets.take("a", 0.0) for _ in range(3)] == [True, True, False]
    assert buckets.wait_s("a", 0.0) == 6.0
    assert buckets.wait_s("a", 6.0) == 0
    assert buckets.take("a", 6.0)
    assert buckets.wait_s("b", 0.0) == 0
    assert len(buckets) == 1


def test_buckets_that_are_full_again_are_forgotten_as_others_come():
    buckets: Buckets[int] = Buckets(burst=2, per_s=1)
    for number in range(1000):
        assert buckets.take(number, 0.0)
    for number in range(1000, 3000):
        assert buckets.take(number, number / 10)
    # of a crowd that is gone nothing is left, and of those who come one after the other only who came within a second
    assert len(buckets) <= 12


def test_who_has_used_its_rate_up_is_not_forgotten_because_others_come():
    buckets: Buckets[int] = Buckets(burst=2, per_s=0.001)
    assert [buckets.take(0, 0.0) for _ in range(3)] == [True, True, False]
    for number in range(1, 1000):
        buckets.take(number, 1.0)
    assert not buckets.take(0, 1.0)


def test_what_is_given_back_may_be_taken_again_and_is_never_more_than_the_burst():
    bucket = Bucket(burst=2, per_s=1, now_s=0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    bucket.give_back(0.0)
    assert [bucket.take(0.0) for _ in range(2)] == [True, False]
    bucket.give_back(0.0, 5)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    buckets: Buckets[str] = Buckets(burst=1, per_s=1)
    assert [buckets.take("a", 0.0) for _ in range(2)] == [True, False]
    buckets.give_back("a", 0.0)
    buckets.give_back("b", 0.0)
    assert buckets.take("a", 0.0)
    assert len(buckets) == 1, "who took nothing is not remembered"
