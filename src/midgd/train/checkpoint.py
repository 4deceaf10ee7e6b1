"""Checkpoints of an unfinished training."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Protocol

import torch

from midgd._files import new_file


class Resumable(Protocol):
    """What a trainer offers to its checkpoint."""

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs: tensors, numbers, strings, lists and dictionaries only."""

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state.

        Parameters
        ----------
        state
            What :meth:`state` returned.
        """


def save_checkpoint(path: Path, trainer: Resumable) -> None:
    """Write the state; an interrupted write leaves the previous checkpoint as it was.

    Parameters
    ----------
    path
        File to write or to replace.
    trainer
        What is asked for its state.
    """
    with new_file(path) as new:
        torch.save(trainer.state(), new)


def load_checkpoint(path: Path, trainer: Resumable) -> None:
    """Read a checkpoint into a trainer of the same data and options.

    Parameters
    ----------
    path
        A file of :func:`save_checkpoint`.
    trainer
        What continues from it.

    Raises
    ------
    ValueError
        If the file is no checkpoint, or one of other data or options.
    """
    try:
        # weights_only: a checkpoint is data, nothing in it may run.
        # On the CPU: it may come from a machine with another device; loading moves weights to where the trainer's are.
        state = torch.load(path, weights_only=True, map_location="cpu")
        trainer.restore(state)
    except (KeyError, ValueError, RuntimeError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{path} is not a checkpoint of this run ({type(error).__name__}: {error}). Delete it to start over,"
            " or resume with the data and options it was made with."
        ) from error
