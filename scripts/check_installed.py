"""Check an installed midgd, away from its repository: the bundled reference is in it and answers.

python scripts/check_installed.py REPOSITORY    # in a folder outside of REPOSITORY
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import midgd


def main(repository: Path) -> None:
    where = Path(str(files("midgd"))).resolve()
    if where.is_relative_to(repository.resolve() / "src"):
        raise SystemExit(f"midgd comes from {where}, not from the wheel")
    names = {path.name for path in where.rglob("*") if path.is_file()}
    needed = {"py.typed", "card.json", "weights.safetensors", "kinds.tsv"}
    if missing := needed - names:
        raise SystemExit(f"{where} lacks {sorted(missing)}")
    cells = midgd.datasets.pbmc68k_counts()[:20].copy()
    midgd.tl.infer_mirna(cells)
    print(f"midgd {midgd.__version__} in {where}: {cells.obsm['mirna'].shape[1]} miRNAs of {cells.n_obs} cells")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
