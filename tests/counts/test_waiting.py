from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from midgd.counts.waiting import WaitingRows


def test_rows_leave_in_the_order_in_which_they_came() -> None:
    rows = WaitingRows()
    matrix = sp.csr_matrix(np.arange(12.0).reshape(6, 2))
    rows.put(np.array([3, 5]), matrix[:2])
    rows.put(np.array([], int), matrix[:0])
    rows.put(np.array([8, 9, 11]), matrix[2:5])
    assert len(rows) == 5
    positions, first = rows.take(3)
    assert positions.tolist() == [3, 5, 8] and np.array_equal(first.toarray(), matrix[:3].toarray())
    positions, rest = rows.take(2)
    assert positions.tolist() == [9, 11] and np.array_equal(rest.toarray(), matrix[3:5].toarray())
    assert len(rows) == 0
