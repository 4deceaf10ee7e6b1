"""What the class needs beyond :func:`midgd.tl.infer_mirna`, looked at before anything else of it is loaded."""

from __future__ import annotations

import importlib

NEEDED = {"mudata": "mudata", "scvi": "scvi-tools"}  # scvi-tools imports mudata


def check_needed() -> None:
    """Import the packages that only the class needs.

    Raises
    ------
    ImportError
        If one is not installed or fails when it is imported, as it does beside versions that do not go with it.
    """
    for module, package in NEEDED.items():
        try:
            importlib.import_module(module)
        except (ImportError, AttributeError, TypeError, ValueError, RuntimeError, OSError) as error:
            absent = isinstance(error, ModuleNotFoundError) and error.name == module
            why = "is not installed" if absent else f"cannot be imported ({type(error).__name__}: {error})"
            raise ImportError(
                f"midgd.model.MIDGD needs {package}, which {why}: pip install -U {package}. "
                "midgd.tl.infer_mirna works without it."
            ) from error
