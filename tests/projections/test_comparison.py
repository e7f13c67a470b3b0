"""How two lists of points or items are held against each other."""

import math

from crucible.projections.comparison import _item_difference, _many, _point_difference, _relative


def logged(left, right):
    return _many(("fit", "loss"), "logged", [left, right], _point_difference)


def test_equal_points_are_equal_and_nan_is_equal_to_itself():
    points = [[1, 0.5], [1, 0.25], [2, math.nan]]
    found = logged(points, [list(point) for point in points])
    assert (found.is_equal, found.items, found.differing, found.first) == (True, 3, 0, ())


def test_the_greatest_difference_is_told_and_the_first_points_that_differ():
    left = [[step, 1.0] for step in range(10)]
    right = [[step, 1.0 + (step > 2) * step / 10] for step in range(10)]
    found = logged(left, right)
    assert (found.is_equal, found.items, found.differing) == (False, 10, 7)
    assert (round(found.absolute, 9), round(found.relative, 9)) == (0.9, 0.9)
    assert found.first == ("step 3: 1.0 and 1.3", "step 4: 1.0 and 1.4", "step 5: 1.0 and 1.5")


def test_a_point_that_one_side_lacks_differs_and_a_step_that_comes_twice_is_two_points():
    found = logged([[1, 0.5], [1, 0.5]], [[1, 0.5], [2, 0.5]])
    assert (found.items, found.differing, found.absolute) == (3, 2, None)
    assert found.first == ("step 1: 0.5 and nothing", "step 2: nothing and 0.5")


def test_of_an_item_only_what_differs_is_told():
    left, right = ["a", 1.0, "x", "y", None], ["a", 0.0, "x", "z", None]
    assert _item_difference("a", left, right) == "item a: score 1.0 and 0.0, prediction 'y' and 'z'"
    assert _item_difference("a", left, None) == "item a: only in the original"


def test_there_is_no_relative_difference_from_zero_or_to_what_is_not_finite():
    assert _relative(0.0, 1.0) is None
    assert _relative(math.inf, 1.0) is None
    assert _relative(2.0, 1.0) == 0.5
