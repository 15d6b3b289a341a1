"""A reader of zero-shot numbers: how steadily a text surprises a language model, weighed by boosted
trees.

Measures  the numbers of `features.py` under SmolLM2-135M: text that a model drew from its likely
          tokens surprises too evenly, text that a small one drew from all of them too often.
Fails     on generators that surprise as people do: assistants that were asked for a plain tone,
          large models at temperature 1.
Cost      one forward pass of the scorer over at most `most_tokens` tokens.
Source    boosting: Friedman 2001, "Greedy Function Approximation"; fitted by scikit-learn; ours:
          the plan `evidence`.
Threshold none of its own: `evidence` adds its log-odds to the other readers'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from staged.detectors.kinds.evidence import scored_features
from staged.detectors.kinds.features import FEATURES
from staged.detectors.kinds.readers.arrays import read_arrays, write_arrays
from staged.errors import CheckpointError
from staged.model.causal import CausalLM, load_causal
from staged.model.checkpoints import is_at_hand
from staged.model.devices import best_dtype

FILE = "numbers.npz"
TREES = ("feature", "threshold", "left", "right", "value")  # arrays of nodes, in the file too

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BoostedTrees:
    """A sum of decision trees: features → log-odds.

    Node 0 of each tree is its root; a node goes left where its feature is at most its threshold; a
    leaf is its own left and right.

    Attributes:
        feature, left, right: (trees, nodes).
        threshold, value: (trees, nodes); a leaf's threshold is infinite.
        bias: log-odds before any tree.
        depth: of the deepest leaf.
    """

    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    value: Floats
    bias: float
    depth: int

    def log_odds(self, features: Floats) -> Floats:
        """(texts, features) → (texts,)."""
        trees = np.arange(len(self.feature))
        node = np.zeros((len(features), len(trees)), dtype=np.int64)
        for _ in range(self.depth):
            values = features[np.arange(len(features))[:, None], self.feature[trees, node]]
            goes_left = values <= self.threshold[trees, node]
            node = np.where(goes_left, self.left[trees, node], self.right[trees, node])
        total: Floats = self.value[trees, node].sum(axis=1) + self.bias
        return total


class NumbersReader:
    """Log-odds of machine against human by a language model's surprises.

    Args:
        model: the name of the language model that reads, and that `trees` learned with; it is
            loaded when it is first asked.
        most_tokens: of a text's beginning.
        device: where it reads.
    """

    def __init__(
        self, model: str, trees: BoostedTrees, *, most_tokens: int, device: str = "cpu"
    ) -> None:
        self.model, self.trees, self.most_tokens, self.device = model, trees, most_tokens, device

    @cached_property
    def scorer(self) -> CausalLM:
        """The language model, read as the trees were made: in bfloat16 where the device multiplies
        it natively, else in float32.
        """
        return load_causal(self.model, dtype=best_dtype(self.device), device=self.device)

    def log_odds(self, texts: Sequence[str]) -> Floats:
        """(texts,) of plain texts (`kinds/readers/plain.py`); 0, and so nothing, of one too short
        for numbers.
        """
        if not texts:
            return np.zeros(0)
        features = scored_features(self.scorer, texts, most_tokens=self.most_tokens)
        return np.where(features.any(axis=1), self.trees.log_odds(features), 0.0)


def save_numbers(folder: Path, reader: NumbersReader) -> None:
    """Write `numbers.npz`, which `load_numbers` reads."""
    trees = reader.trees
    write_arrays(
        folder / FILE,
        features=np.asarray(FEATURES),
        scorer=np.asarray([reader.model]),
        most_tokens=np.asarray([reader.most_tokens]),
        feature=trees.feature,
        threshold=np.where(np.isinf(trees.threshold), np.finfo(float).max, trees.threshold),
        left=trees.left,
        right=trees.right,
        value=trees.value,
        bias=np.float64(trees.bias),
        depth=np.asarray([trees.depth]),
    )


def scorer_of(folder: Path) -> str | None:
    """The language model that a detector's folder asks for numbers; None where it asks none.

    Raises:
        CheckpointError: its file is damaged.
    """
    if not (folder / FILE).is_file():
        return None
    return str(read_arrays(folder / FILE, scorer=(None,))["scorer"][0])


def load_numbers(folder: Path, *, device: str = "cpu") -> NumbersReader | None:
    """Read what `save_numbers` wrote; None where there is none, or its language model is not
    installed.

    Raises:
        CheckpointError: damaged, or of other features than this version's.
    """
    if not (folder / FILE).is_file():
        return None
    row, table = (None,), (None, None)
    arrays = read_arrays(
        folder / FILE,
        **dict.fromkeys(("features", "scorer", "most_tokens"), row),
        bias=(),
        depth=row,
        **dict.fromkeys(TREES, table),
    )
    if arrays["features"].tolist() != list(FEATURES):
        raise CheckpointError(
            f"{folder}: was trained with other features than this version's; train it again or"
            " update staged"
        )
    model = str(arrays["scorer"][0])
    if not is_at_hand(model):
        return None
    parts: dict[str, Any] = {name: arrays[name] for name in TREES}
    trees = BoostedTrees(**parts, bias=float(arrays["bias"]), depth=int(arrays["depth"][0]))
    return NumbersReader(model, trees, most_tokens=int(arrays["most_tokens"][0]), device=device)
