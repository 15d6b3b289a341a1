"""One unit of a study's work: folders and files in, a folder out."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

from staged.engines.blocks import Job, computed
from staged.places.blocks import claimed
from staged.places.stages import at_hand
from staged.progress import Progress
from staged.storage.marks import BLOCKS, MARK
from staged.storage.pieces import JSON, Encoding
from staged.storage.stage_folders import is_complete, whole_of

__all__ = ["Effort", "Inputs", "SplitStage", "Stage", "unrecorded"]

Inputs = Mapping[str, Path]  # a stage's name → its folder; a file's name → the file
RECORDED = "recorded"


@dataclass(frozen=True)
class Effort:
    """What a stage lets a model do, as far as its fields tell.

    Attributes:
        work: `sample`, `train` or `score`.
        model: as the plan names it; `tfidf`, which is none, by that name.
        texts: how many, over all passes.
        length: of a text, in tokens, at most.
    """

    work: str
    model: str
    texts: int
    length: int


def unrecorded(default: Any = MISSING) -> Any:
    """A field whose value does not determine a stage's bytes: where something lies, what an
    error calls it. Of a file that is read the bytes count, by `Stage.files`.
    """
    return field(default=default, metadata={RECORDED: False})


@dataclass(frozen=True, kw_only=True)
class Stage(ABC):
    """One unit of work. A kind of stage is a frozen dataclass, and its fields determine its bytes:

    a stage, or a tuple of stages    is read: what counts is its manifest
    a field that is `unrecorded`     does not count
    any other                        counts by its value; None is left out, so that a kind may gain
                                     a field and what was made before stays valid
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Its folder below the study's."""

    @abstractmethod
    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        """Fill a folder.

        Args:
            folder: empty, or as a killed call has left it.
            inputs: of each stage that it needs the folder, and of `files` each.
            progress: called with (done, all).
        """

    @property
    def cost(self) -> float:
        """Expected seconds on one core, for the progress bar only."""
        return 1.0

    @property
    def efforts(self) -> tuple[Effort, ...]:
        """What it lets models do, without a look at any; nothing of work that no model does."""
        return ()

    @property
    def files(self) -> Inputs:
        """Other files that it reads, by name."""
        return {}

    @property
    def needs(self) -> tuple[Stage, ...]:
        """The stages that it reads."""
        values = (getattr(self, attribute.name) for attribute in fields(self))
        several = (value if isinstance(value, tuple) else (value,) for value in values)
        return tuple(part for parts in several for part in parts if isinstance(part, Stage))

    @property
    def settings(self) -> dict[str, Any]:
        """What determines its bytes besides what it reads."""
        counted = {
            attribute.name: getattr(self, attribute.name)
            for attribute in fields(self)
            if attribute.metadata.get(RECORDED, True)
        }
        return {name: _plain(value) for name, value in counted.items() if _counts(value)}

    def inputs(self, root: Path) -> dict[str, Path]:
        """What it reads, where the study's folder is `root`."""
        return {stage.name: root / stage.name for stage in self.needs} | dict(self.files)


@dataclass(frozen=True, kw_only=True)
class SplitStage(Stage):
    """A stage that is a list of blocks, each a pure function of its number: workers make them side
    by side, in any order, and one of them joins them.

    Attributes:
        encoding: how a block's value stands in its file.
    """

    encoding: ClassVar[Encoding[Any]] = JSON

    @property
    @abstractmethod
    def blocks(self) -> Sequence[str]:
        """Of each block its file's name, from the fields alone."""

    @abstractmethod
    def opened(self, inputs: Inputs) -> AbstractContextManager[Callable[[int], Any]]:
        """What all blocks need is loaded; what makes the value of a block from its number."""

    @abstractmethod
    def join(self, folder: Path, values: Iterator[Any], inputs: Inputs) -> None:
        """Fill the folder from the values of all blocks, in order."""

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        """Make the blocks that are missing, here, and join all; what a killed join has left, or a
        version that made this otherwise, goes.
        """
        for item in folder.iterdir():
            if item.name not in (MARK, BLOCKS):
                shutil.rmtree(item) if item.is_dir() else item.unlink()
        (folder / BLOCKS).mkdir(exist_ok=True)
        store = claimed(folder / BLOCKS)
        values = computed(store, StageBlocks(self, inputs), progress=progress)
        self.join(folder, values, inputs)


@dataclass(frozen=True)
class StageBlocks(Job[Any]):
    """The job of a split stage."""

    stage: SplitStage
    inputs: Inputs

    @property
    def encoding(self) -> Encoding[Any]:
        return self.stage.encoding

    @property
    def names(self) -> Sequence[str]:
        return self.stage.blocks

    def opened(self) -> AbstractContextManager[Callable[[int], Any]]:
        return self.stage.opened(at_hand(self.inputs))

    def is_over(self, folder: Path) -> bool:
        blocks = folder.parent  # of all settings
        return is_complete(whole_of(blocks.parent))


def _counts(value: Any) -> bool:
    parts = value if isinstance(value, tuple) else (value,)
    return value is not None and not any(isinstance(part, Stage) for part in parts)


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
