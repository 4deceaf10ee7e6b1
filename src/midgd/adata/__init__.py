"""What ``tl``, ``get``, ``pl`` and ``model`` share: from rows of counts to predictions, and predictions in AnnData."""
