"""A head of fixed targets for PyTorch, turned to where a network's classes already are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..arrays import as_numpy
from ..errors import BackendError, ProblemError
from ..objectives.rows.full_batch import check_word
from .target_files import Targets, read_targets

try:
    import torch
    from torch.nn import Module
    from torch.nn.functional import normalize
except ImportError:
    torch, Module, normalize = None, object, None


class TargetHead(Module):
    """A loss that pulls every embedding to the fixed target of its class; targets are a buffer, not a parameter.

    cosine: the mean of 1 - z_i.t_y of unit embeddings; mse: the mean of |z_i - t_y|^2 of embeddings as they are.

        head = geomsolve.training.TargetHead("T.safetensors")      # or geomsolve.targets(...)
        loss = head(embeddings, labels)
        guesses = head.logits(embeddings).argmax(dim=1)
    """

    def __init__(self, targets: Targets | str | Path | Any, loss: str = "cosine", *, means: Any = None) -> None:
        """Keep the targets.

        Args:
            targets: what `geomsolve.targets` returned, a file of them, or (C, dim) unit rows.
            loss: "cosine" or "mse".
            means: (C, dim) present class means of a checkpoint: targets are first `aligned` to them.

        Raises:
            ProblemError: another loss, or means of another shape.
            BackendError: PyTorch is not installed.
        """
        if torch is None:
            raise BackendError('TargetHead: needs PyTorch; run: pip install ".[torch]"')
        super().__init__()
        check_word("loss", loss, ("cosine", "mse"))
        if isinstance(targets, (str, Path)):
            targets = read_targets(targets)
        if not isinstance(targets, Targets):
            targets = Targets(np.asarray(as_numpy(targets), dtype=np.float32))
        if means is not None:
            targets = aligned(targets, means)
        self.loss = loss
        self.targets: torch.Tensor
        self.register_buffer("targets", torch.tensor(targets.rows))

    def logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(n, C) the cosines of embeddings with the targets."""
        return normalize(embeddings, dim=-1) @ self.targets.T.to(embeddings.dtype)

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of embeddings (n, d) or (views, n, d) with labels (n,)."""
        wanted = self.targets[labels.reshape(-1).long()].to(embeddings.dtype)
        if self.loss == "mse":
            return (embeddings - wanted).square().sum(dim=-1).mean()
        return (1.0 - (normalize(embeddings, dim=-1) * wanted).sum(dim=-1)).mean()


def aligned(targets: Targets, means: Any) -> Targets:
    """The targets under the rotation, and the exchange of equal classes, that brings them nearest to class means.

    It minimises sum_c |R t_p(c) - m_c|^2 over orthogonal R (Procrustes) and over permutations p within the groups that
    are `exchangeable` (assignment), in turn, from no exchange; no cosine that the loss sees changes. Training on from a
    checkpoint then does not begin by turning everything round.

    Args:
        targets: as `geomsolve.targets` returned them.
        means: (C, dim) class means of the checkpoint, of any length.

    Raises:
        ProblemError: means of another shape, or that are not finite.

    Cost: a singular value decomposition of dim x dim a round, of which there are a few.
    """
    rows, wanted = targets.rows.astype(np.float64), np.asarray(as_numpy(means), dtype=np.float64)
    if wanted.shape != rows.shape or not np.isfinite(wanted).all():
        raise ProblemError(f"means: must be finite numbers of shape {rows.shape}; got shape {wanted.shape}")
    wanted = wanted / np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1e-12)
    places = np.arange(len(rows))
    for _ in range(50):  # each lowers the distance, and there are few ways to match
        left, _values, right = np.linalg.svd(rows[places].T @ wanted)
        turned, before = rows @ (left @ right), places.copy()
        for group in map(list, targets.exchangeable):
            _order, best = linear_sum_assignment(-wanted[group] @ turned[group].T)
            places[group] = np.array(group)[best]
        if np.array_equal(before, places):
            break
    return replace(targets, rows=turned[places].astype(np.float32), seed=None)
