import subprocess
import sys

HEAVY = ("torch", "scvi", "lightning", "matplotlib", "scanpy", "dask", "sklearn")


def test_import_is_light():
    code = f"import sys, midgd; print([m for m in {HEAVY!r} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_inference_does_not_import_scvi():
    code = "import sys, midgd; midgd.tl, midgd.get, midgd.reference; print('scvi' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "False"
