"""Process-wide choices; each can be set by an environment variable before the import.

The one set of options that is not an argument of a function: how much midgd says, where it
caches downloads and on which device it computes by default.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger("midgd")


def _default_cache() -> Path:
    if folder := os.environ.get("MIDGD_DATA_DIR"):
        return Path(folder).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "midgd"
    except RuntimeError:  # an account without a home, as in some containers
        return Path("midgd-cache").absolute()


@dataclass
class Settings:
    """Verbosity, progress, cache folder and device.

    Parameters
    ----------
    verbosity
        Logging level of the ``midgd`` logger, ``"INFO"`` by default (``MIDGD_VERBOSITY``).
    progress
        Show progress bars for work of more than a few seconds (``MIDGD_PROGRESS``; ``0`` turns them off).
    data_dir
        Where downloads are cached (``MIDGD_DATA_DIR``; default ``~/.cache/midgd``, and ``midgd-cache`` in the
        working directory for an account without a home). Made on first use, not on import.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"`` (``MIDGD_DEVICE``).
    """

    verbosity: str = field(default_factory=lambda: os.environ.get("MIDGD_VERBOSITY", "INFO").upper())
    progress: bool = field(default_factory=lambda: os.environ.get("MIDGD_PROGRESS", "1") != "0")
    data_dir: Path = field(default_factory=_default_cache)
    device: str = field(default_factory=lambda: os.environ.get("MIDGD_DEVICE", "auto"))

    def __setattr__(self, name: str, value: object) -> None:
        if name == "verbosity":
            logger.setLevel(str(value).upper())
        object.__setattr__(self, name, value)


settings = Settings()
if not logger.handlers:
    # A handler of our own, not basicConfig: the user's root logger stays as it was.
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("midgd: %(message)s"))
    logger.addHandler(handler)
    logger.propagate = False
