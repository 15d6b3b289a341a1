"""What a killed run continues from, whichever processes wrote it: the single file of a process that
had all weights, or the folder of many that had a share each. Either kind is read by any number of
processes, with all weights or a share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from staged.model.training.distributed import agreed, barrier, rank
from staged.model.training.parallel.folders import remove_shares, share_folders, share_step
from staged.model.training.snapshots import opened_snapshot, save_snapshot
from staged.storage.marks import CHECKPOINT

MOMENTS = ("exp_avg", "exp_avg_sq")  # AdamW's, of each weight


@dataclass(frozen=True)
class Counters:
    """How far a run is.

    Attributes:
        step: steps taken.
        tokens: targets seen.
        curve: the rows of `loss.jsonl`.
    """

    step: int = 0
    tokens: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)

    def values(self) -> dict[str, Any]:
        """JSON values that make these counters again."""
        return {"step": self.step, "tokens": self.tokens, "curve": self.curve}


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a run's folder under construction.

    Attributes:
        model: whose weights are kept, those that training changes.
        optimizer: AdamW over these weights.
        device: where they lie.
        is_sharded: each process has its share of weights and optimizer, as `DTensor`.
    """

    folder: Path
    model: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device
    is_sharded: bool = False

    def save(self, at: Counters) -> None:
        """Keep what the run can continue from; every process calls this.

        Raises:
            ArtifactError, OSError: no space, or no permission.
        """
        if self.is_sharded:
            from staged.model.training.parallel.shares import save_shares

            save_shares(self.folder, at.step, self._tensors(), at.values())
            if rank() == 0:
                (self.folder / CHECKPOINT).unlink(missing_ok=True)
        elif rank() == 0:
            self._save_file(self.optimizer.state_dict(), at)

    def save_trained(self, at: Counters) -> None:
        """Keep a trained model's whole weights, so that a kill while it is saved costs no step; the
        first process calls this.

        Raises:
            OSError: no space, or no permission.
        """
        self._save_file(None, at)

    def load(self) -> Counters:
        """Continue from the newest checkpoint, where there is one; every process calls this.

        Raises:
            CheckpointError: damaged, unreadable, or larger than the memory that is free.
        """
        name, counters = agreed(self._newest()), Counters()
        with torch.no_grad():
            if name == CHECKPOINT:
                load = self._load_shares_of_file if self.is_sharded else self._load_file
                counters = load(self.folder / name)
            elif name:
                from staged.model.training.parallel.shares import load_shares

                counters = Counters(**load_shares(self.folder / name, self._tensors()))
        barrier()  # every process has read it before the first one can be done with it
        return counters

    def _save_file(self, optimizer: dict[str, Any] | None, at: Counters) -> None:
        weights = {name: weight.data for name, weight in self._weights().items()}
        state = {"weights": weights, "optimizer": optimizer} | at.values()
        save_snapshot(self.folder / CHECKPOINT, state)
        remove_shares(self.folder)

    def _newest(self) -> str:
        """A kill between a new checkpoint and the removal of one of the other kind leaves both."""
        folders, file = share_folders(self.folder), self.folder / CHECKPOINT
        if not file.is_file():
            return folders[-1].name if folders else ""
        if not folders:
            return CHECKPOINT
        with opened_snapshot(file, mapped=True) as state:
            return folders[-1].name if share_step(folders[-1]) > state["step"] else CHECKPOINT

    def _load_file(self, path: Path) -> Counters:
        with opened_snapshot(path, device=self.device) as state:
            for name, weight in self._weights().items():
                weight.copy_(state["weights"][name])
            if state["optimizer"]:  # a trained model's is not kept
                self.optimizer.load_state_dict(state["optimizer"])
            return Counters(state["step"], state["tokens"], state["curve"])

    def _load_shares_of_file(self, path: Path) -> Counters:
        from staged.model.training.parallel.shares import copy_share

        # the optimizer numbers weights as its groups have them
        ordered = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        with opened_snapshot(path, mapped=True) as state:
            for name, weight in self._weights().items():
                copy_share(weight, state["weights"][name])
            moments = state["optimizer"]["state"] if state["optimizer"] else {}
            for number, values in moments.items():
                own = self._moments(ordered[number])
                for key, value in values.items():
                    copy_share(own[key], value)
            return Counters(state["step"], state["tokens"], state["curve"])

    def _tensors(self) -> dict[str, Any]:
        """Weights and moments, to be written or to be read into."""
        weights = self._weights()
        return {
            "weights": {name: weight.detach() for name, weight in weights.items()},
            "moments": {name: self._moments(weight) for name, weight in weights.items()},
        }

    def _moments(self, weight: nn.Parameter) -> dict[str, Tensor]:
        """The optimizer's state of a weight, made as it is at the start where there is none."""
        state: dict[str, Tensor] = self.optimizer.state[weight]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=weight.device)
            state |= {name: torch.zeros_like(weight.detach()) for name in MOMENTS}
        return state

    def _weights(self) -> dict[str, nn.Parameter]:
        """Those that training changes: all of them, or LoRA's."""
        return {name: w for name, w in self.model.named_parameters() if w.requires_grad}
