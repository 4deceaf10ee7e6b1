"""All rows once and in order; threads of the caller stay as they were; errors arrive and stop the rest."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from midgd.infer import parallel
from midgd.infer.parallel import map_chunks, map_rows, rows_of_task

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("n", [1, 2, 5, 600, 5_000])
def test_every_row_once_and_in_order(threads, n):
    counts = np.arange(n)[:, None]
    np.testing.assert_array_equal(np.concatenate(map_rows(lambda part: part, counts, CPU)), counts)
    assert torch.get_num_threads() == threads


def test_no_rows_are_one_empty_task():
    (empty,) = map_rows(len, np.zeros((0, 3)), CPU)
    assert empty == 0


def test_each_task_has_one_thread(threads):
    assert set(map_rows(lambda part: torch.get_num_threads(), np.zeros((5_000, 1)), CPU)) == {1}


def test_an_error_arrives_and_later_tasks_never_begin(monkeypatch):
    monkeypatch.setattr(parallel, "MAX_ROWS", 1)
    begun, lock = [], threading.Lock()

    def work(part):
        with lock:
            begun.append(part[0, 0])
        if part[0, 0] == 0:
            raise KeyboardInterrupt
        time.sleep(0.02)  # tasks that take no time are all done before the caller has asked for the first result
        raise RuntimeError

    with pytest.raises(KeyboardInterrupt):
        map_rows(work, np.arange(500)[:, None], CPU)
    assert len(begun) < 500


def test_accelerators_get_everything_at_once():
    assert map_rows(len, np.zeros((5_000, 1)), torch.device("cuda")) == [5_000]


def test_chunks_are_taken_when_there_is_a_thread_for_them(threads):
    taken, begun = [], threading.Barrier(threads)

    def chunks():
        for i in range(3 * threads):
            taken.append(i)
            yield np.full((2, 1), i)

    def work(part):
        begun.wait(10)  # breaks unless as many threads as there are work at once
        return int(part[0, 0])

    for i, result in enumerate(map_chunks(work, chunks(), CPU)):
        assert result == i and len(taken) <= i + threads + 1
    assert len(taken) == 3 * threads


@pytest.mark.parametrize("n", [0, 1, 7, 2_048, 5_000, 1_000_000])
def test_tasks_are_alike_and_as_many_for_every_thread(threads, n):
    rows = rows_of_task(n, CPU)
    n_tasks = -(-n // rows)
    assert 1 <= rows <= parallel.MAX_ROWS and n_tasks * rows - n < max(n_tasks, 1)
    assert n < threads or n_tasks % threads == 0
    assert rows_of_task(n, torch.device("cuda")) == max(n, 1)
