"""Gradient-boosted trees as a module: class logits from measured values, of which some may be missing.

References:
    Ke et al., LightGBM, NeurIPS 2017 (what the trees are grown by, and how a missing value finds its way).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

LARGEST = 65504.0  # of float16; a threshold beyond tells missing values from all others


class TreesHead(nn.Module):
    """Class logits from measured values: for each class the sum of as many trees, stretched and shifted.

    At an inner node a value goes left when it is at most the threshold; one that was not measured goes where the
    records went that lacked it in training. The trees are fixed: nothing of them is learned by gradients.

    Args:
        n_classes: labels.
        trees: of each class.
        leaves: of a tree, at most.
    """

    feature: Tensor
    threshold: Tensor
    missing_left: Tensor
    left: Tensor
    right: Tensor
    value: Tensor
    slope: Tensor
    shift: Tensor

    def __init__(self, n_classes: int, trees: int = 200, leaves: int = 8) -> None:
        super().__init__()
        self.n_classes, self.leaves = n_classes, leaves
        nodes = (n_classes * trees, leaves - 1)
        self.register_buffer("feature", torch.zeros(nodes, dtype=torch.int16))
        self.register_buffer("threshold", torch.zeros(nodes))
        self.register_buffer("missing_left", torch.zeros(nodes, dtype=torch.bool))
        # the node below, or -1 - leaf; a new tree is a single leaf
        for side in ("left", "right"):
            self.register_buffer(side, torch.full(nodes, -1, dtype=torch.int16))
        self.register_buffer("value", torch.zeros(n_classes * trees, leaves))
        self.register_buffer("slope", torch.ones(n_classes))
        self.register_buffer("shift", torch.zeros(n_classes))

    def forward(self, values: Tensor) -> Tensor:
        """Classify a batch.

        Args:
            values: (B, values) in their own units, NaN where something was not measured.

        Returns:
            (B, n_classes) logits.
        """
        values, trees = values.float().clamp(-LARGEST, LARGEST), torch.arange(len(self.feature), device=values.device)
        node = torch.zeros(len(values), len(trees), dtype=torch.long, device=values.device)
        for _ in range(self.leaves - 1):
            inner = node.clamp(min=0)
            value = values.gather(1, self.feature[trees, inner].long())
            to_left = torch.where(
                value.isnan(), self.missing_left[trees, inner], value <= self.threshold[trees, inner].float()
            )
            below = torch.where(to_left, self.left[trees, inner], self.right[trees, inner]).long()
            node = torch.where(node < 0, node, below)
            if bool((node < 0).all()):
                break
        leaf = self.value[trees, -1 - node].float().unflatten(1, (self.n_classes, -1)).sum(-1)
        logits: Tensor = leaf * self.slope.float() + self.shift.float()
        return logits

    def by_class(self) -> list[Tensor]:
        """All that is stored, as views with the classes as their first axis."""
        return [part.view(self.n_classes, -1, *part.shape[1:]) for part in self.buffers()]

    def rescale(self, slope: Tensor, shift: Tensor) -> None:
        """Stretch and shift the logits.

        Args:
            slope: (n_classes,).
            shift: (n_classes,).
        """
        self.shift.mul_(slope.to(self.shift)).add_(shift.to(self.shift))
        self.slope.mul_(slope.to(self.slope))

    def set_trees(self, label: int, trees: Sequence[Mapping[str, Any]]) -> None:
        """Take the trees of one class into a new head.

        Args:
            label: the class, from 0.
            trees: as LightGBM's ``dump_model()["tree_info"]`` lists them.

        Raises:
            ValueError: more trees or leaves than there is room for, or a split that is no threshold.
        """
        room = len(self.feature) // self.n_classes
        if len(trees) > room:
            raise ValueError(f"{len(trees)} trees, more than {room}")
        for row, tree in enumerate(trees, label * room):
            self._set_tree(row, tree["tree_structure"])

    def _set_tree(self, row: int, root: Mapping[str, Any]) -> None:
        leaves = inner = 0

        def place(part: Mapping[str, Any]) -> int:
            """Store a node and what is below it; its place as in ``left``."""
            nonlocal leaves, inner
            if "leaf_value" in part:
                if leaves == self.leaves:
                    raise ValueError(f"a tree of more than {self.leaves} leaves")
                self.value[row, leaves] = part["leaf_value"]
                leaves += 1
                return -leaves
            if part["decision_type"] != "<=" or part["missing_type"] not in ("NaN", "None"):
                raise ValueError(f"a split by {part['decision_type']}, missing values by {part['missing_type']}")
            node, inner = inner, inner + 1
            if node == self.leaves - 1:
                raise ValueError(f"a tree of more than {self.leaves} leaves")
            self.feature[row, node] = part["split_feature"]
            self.threshold[row, node] = min(max(part["threshold"], -LARGEST), LARGEST)
            # where no record lacked the value, LightGBM takes it for 0
            known = part["missing_type"] == "NaN"
            self.missing_left[row, node] = part["default_left"] if known else part["threshold"] >= 0
            self.left[row, node], self.right[row, node] = place(part["left_child"]), place(part["right_child"])
            return node

        if place(root) < 0:
            self.left[row, 0] = self.right[row, 0] = -1
