from __future__ import annotations

import socket

import pytest

from midgd.datasets import _http
from midgd.settings import settings


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Empty cache folder, no progress bars, no waiting between attempts."""
    monkeypatch.setattr(settings, "data_dir", tmp_path / "cache")
    monkeypatch.setattr(settings, "progress", False)
    monkeypatch.setattr(_http, "BACKOFF", 0.0)
    monkeypatch.setattr(_http, "CHUNK", 1024)
    return settings.data_dir


@pytest.fixture
def nowhere(unused_port):
    """Address at which nobody listens: the machine without a network."""
    return f"http://127.0.0.1:{unused_port}"


@pytest.fixture
def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
