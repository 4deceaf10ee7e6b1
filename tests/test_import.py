import subprocess
import sys
from pathlib import Path

from midgd.settings import Settings

HEAVY = ("torch", "scvi", "lightning", "matplotlib", "scanpy", "dask", "sklearn")


def test_import_is_light():
    code = f"import sys, midgd; print([m for m in {HEAVY!r} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_inference_does_not_import_scvi():
    code = "import sys, midgd; midgd.tl, midgd.get, midgd.reference; print('scvi' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "False"


def test_an_account_without_a_home_has_a_cache_in_the_working_directory(monkeypatch, tmp_path):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    for name in ("MIDGD_DATA_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert Settings().data_dir == tmp_path / "midgd-cache" and not list(tmp_path.iterdir())
