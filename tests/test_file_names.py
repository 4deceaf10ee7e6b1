from __future__ import annotations

import pytest

from midgd._file_names import is_plain_name
from midgd.download.fetch import safe_name

DEVICES = ["CON", "nul", "aux.tsv", "COM1", "lpt9.tar.gz", "PRN .txt", "CONIN$"]
ELSEWHERE = ["../x", "a/b", "a\\b", "..", ".", "", "C:x", "C:", "a:stream", "a\0b", "a\nb"]
OTHERS = ["a?", "a*", "x.", "x ", '"x"', "a|b", "<x>"]
PLAIN = ["a.tsv", "README", "TCGA-BRCA.star_counts.tsv.gz", "console", "COM10", "nullable.txt", ".hidden", "ä b.csv"]


@pytest.mark.parametrize("name", [*DEVICES, *ELSEWHERE, *OTHERS])
def test_names_that_some_system_takes_for_something_else(name: str) -> None:
    assert not is_plain_name(name)
    with pytest.raises(ValueError, match="plain name"):
        safe_name(name)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_names(name: str) -> None:
    assert is_plain_name(name) and safe_name(name) == name
