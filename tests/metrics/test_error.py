from __future__ import annotations

import numpy as np
import pytest

from midgd.metrics import rmse_log_cpm


def test_rmse_by_hand() -> None:
    assert rmse_log_cpm([[0.0, 3.0]], [[4.0, 3.0]]) == pytest.approx(np.sqrt(8.0))
