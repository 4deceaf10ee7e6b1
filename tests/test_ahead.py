"""Items come in order, one is made meanwhile, and errors come where the item would have come."""

from __future__ import annotations

import threading

import pytest

from midgd._ahead import ahead


def test_the_same_items_in_the_same_order():
    assert list(ahead(range(50))) == list(range(50))
    assert list(ahead([])) == []


def test_the_next_item_is_made_while_this_one_is_used():
    made = [threading.Event() for _ in range(4)]

    def items():
        for event in made:
            event.set()
            yield event

    for i, _ in enumerate(ahead(items())):
        assert made[min(i + 1, 3)].wait(10)
        assert not any(event.is_set() for event in made[i + 2 :])  # and not more than that


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        yield 2
        raise KeyError("third")

    found = []
    with pytest.raises(KeyError, match="third"):
        found.extend(iter(ahead(items())))
    for_each = []
    with pytest.raises(KeyError):
        for item in ahead(items()):
            for_each.append(item)
    assert for_each == [1, 2]


def test_a_caller_who_stops_leaves_no_thread():
    before = threading.active_count()
    for item in ahead(range(10)):
        if item == 3:
            break
    del item
    assert threading.active_count() == before
