"""All rows once and in order; threads of the caller stay as they were; errors arrive and stop the rest."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from midgd.infer import parallel
from midgd.infer.parallel import map_rows

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
