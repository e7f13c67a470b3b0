from crucible.rules.bucket_map import BUCKETS, BucketMap


def test_items_come_and_go_and_each_mapping_stays_as_it_was():
    empty = BucketMap()
    one = empty.with_item("a", 1)
    other = one.with_item("b", 2).with_item("a", 3)
    assert (len(empty), len(one), len(other)) == (0, 1, 2)
    assert other == {"a": 3, "b": 2}
    assert other.without_item("a") == {"b": 2}
    assert len(other.without_item("a")) == 1
    assert "a" in one
    assert "a" not in other.without_item("a")
    assert other.without_item("nobody") is other
    assert one == {"a": 1}


def test_a_change_copies_one_bucket_of_many_however_many_there_are():
    many = BucketMap()
    for number in range(10_000):
        many = many.with_item(f"run-{number}", 1)
    for changed in (many.with_item("new", 1), many.without_item("run-7")):
        others = [old is new for old, new in zip(many._buckets, changed._buckets, strict=True)]
        assert (others.count(True), len(others)) == (BUCKETS - 1, BUCKETS)
