"""What a plan of a detector with several readers says: its texts, how they are weighed, and how its
readers learn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any

from staged.errors import PlanError
from staged.records import HUMAN
from staged.settings import Check, check_each, from_table, read_toml
from staged.training.readers.encoder import EncoderSettings
from staged.training.readers.labelled import Example

OF_WORDS = (
    "labelled",
    "human",
    "machines",
    "people",
    "generators",
    "prompts",
    "lexical",
    "words",
    "careless",
    "seed",
)
OWN = "own"  # the set of what the plan's own generators write


@dataclass(frozen=True)
class LexicalSettings:
    """How the reader of words learns.

    Attributes:
        batches: of crops.
        strength: the inverse of its ridge penalty.
    """

    batches: int = 3000
    strength: float = 10.0


@dataclass(frozen=True)
class ReadersSettings:
    """What a detector with several readers learns from.

    Attributes:
        labelled: files of labelled texts (`training/readers/labelled.py`).
        human: corpora of human text, by name or path.
        generators: language models that continue human passages, `MODEL METHOD` → texts.
        prompts: source of human text → its share of the passages that they continue.
        people: pattern of a source → how often it is drawn beside other sources of human text; 1
            where none fits.
        machines: pattern of `SET/DOMAIN GENERATOR SAMPLING` → how often one that fits is drawn; the
            first that fits counts, and what fits the same pattern is one group. All must fit one.
        folds: pattern of a source → the fold that it is held out in; all must fit one.
        kinds: pattern of a source of human text → the kind of text that it is; what fits none is of
            no kind of its own.
        families: pattern as in `machines` → the family of generators that a machine text is of, for
            the transfer matrix.
        years: pattern as in `machines` → the year in which its generator came out, likewise.
        words: shortest and longest crop.
        careless: share of crops that are misspelt or lose their articles; of judged crops, so many
            more.
        judged: crops that the combination is fitted on and the calibration made of: of people's
            texts for a share of 1.
        judged_words: shortest and longest of these.
        edges_words: the shortest length of each of the calibration's bins.
        scorer: the language model of the zero-shot numbers.
        most_tokens: of a text's beginning that the scorer reads.
        encoder, lexical: how these readers learn.
        fold_steps: of the encoder where sources are held out.
        name: of the detector.
        seed: of all draws.
    """

    labelled: tuple[str, ...]
    human: tuple[str, ...]
    machines: dict[str, float]
    folds: dict[str, int]
    kinds: dict[str, str]
    people: dict[str, float] = field(default_factory=dict)
    generators: dict[str, int] = field(default_factory=dict)
    prompts: dict[str, float] = field(default_factory=dict)
    families: dict[str, str] = field(default_factory=dict)
    years: dict[str, int] = field(default_factory=dict)
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    lexical: LexicalSettings = field(default_factory=LexicalSettings)
    fold_steps: int = 1500
    words: tuple[int, ...] = (50, 400)
    careless: float = 0.2
    judged: int = 290
    judged_words: tuple[int, ...] = (50, 400)
    edges_words: tuple[int, ...] = (50, 100, 200)
    scorer: str = "smollm2-135m"
    most_tokens: int = 512
    name: str = "evidence"
    seed: int = 1

    def __post_init__(self) -> None:
        check_each(self._checks(), where="readers")

    def _checks(self) -> Iterator[Check]:
        yield (
            len(self.words) == 2 and 1 <= self.words[0] <= self.words[1],
            f"words must be the shortest and the longest crop, not {list(self.words)}",
        )
        yield (
            sorted(set(self.folds.values())) == list(range(self.n_folds)) and self.n_folds >= 2,
            "folds must be numbered from 0, at least two of them",
        )
        edges = self.edges_words
        yield (
            bool(edges) and edges[0] >= 1 and all(a < b for a, b in pairwise(edges)),
            f"edges_words must ascend from at least 1 word, not {list(edges)}",
        )
        yield (
            bool(self.machines and self.labelled),
            "labelled must list at least one set, and machines a pattern for each of its"
            " generators",
        )
        yield from self._of_numbers()

    def _of_numbers(self) -> Iterator[Check]:
        counts = (self.judged, *self.judged_words, self.most_tokens, self.fold_steps)
        yield (
            min(*counts, self.lexical.batches, *self.generators.values()) >= 1
            and self.seed >= 0
            and 0 <= self.careless <= 1
            and self.lexical.strength > 0,
            "judged, judged_words, most_tokens, fold_steps, lexical batches and generators must be"
            " at least 1, seed at least 0, careless in [0, 1], lexical strength above 0",
        )
        judged = self.judged_words
        yield (
            len(judged) == 2 and judged[0] <= judged[1],
            f"judged_words must be the shortest and the longest crop, not {list(judged)}",
        )
        shares = [*self.machines.values(), *self.people.values(), *self.prompts.values()]
        yield (
            min(shares) > 0,
            "every share of people, machines and prompts must be above 0; leave out what is not"
            " read",
        )

    def of_words(self, fold: int | None = None) -> dict[str, Any]:
        """What the lexical reader and the encoder depend on, JSON values; what is judged and
        calibrated leaves them as they are.

        Args:
            fold: that is held out; None for the readers of all sources, which no fold touches.
        """
        held = [pattern for pattern, its in self.folds.items() if its == fold]
        encoder = self.encoder if fold is None else self.encoder.of_steps(self.fold_steps)
        settings = {name: value for name, value in asdict(self).items() if name in OF_WORDS}
        return settings | {"encoder": asdict(encoder), "fold": fold, "held out": sorted(held)}

    @property
    def n_folds(self) -> int:
        """In how many parts sources are held out in turn."""
        return max(self.folds.values(), default=-1) + 1

    def group(self, example: Example) -> str:
        """What an example is drawn with: a person's its source, a machine's the pattern of
        `machines` that it fits.

        Raises:
            PlanError: it fits none.
        """
        return (
            example.source
            if example.label == HUMAN
            else fitting(self.machines, f"{example.source} {example.generator}", what="machines")
        )

    def shares(self, examples: Iterable[Example]) -> dict[str, float]:
        """Of each group how often it is drawn."""
        groups = {(example.label, self.group(example)) for example in examples}
        return {
            name: (
                self.people.get(matching(self.people, name) or "", 1.0)
                if label == HUMAN
                else self.machines[name]
            )
            for label, name in sorted(groups)
        }

    def fold(self, source: str) -> int:
        """The fold that a source is held out in.

        Raises:
            PlanError: it fits no pattern.
        """
        return self.folds[fitting(self.folds, source, what="folds")]

    def kind(self, source: str) -> str:
        """The kind of text that a source is; empty where it has none."""
        return self.kinds.get(matching(self.kinds, source) or "", "")


def matching(patterns: Mapping[str, object], name: str) -> str | None:
    """The first of the patterns that a name fits, as file names fit `*`."""
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)


def fitting(patterns: Mapping[str, object], name: str, *, what: str) -> str:
    """Likewise.

    Raises:
        PlanError: none fits.
    """
    pattern = matching(patterns, name)
    if pattern is None:
        raise PlanError(f"readers: {name!r} fits no pattern of {what}; add one")
    return pattern


def is_of_readers(path: Path) -> bool:
    """Whether a plan is of a detector of several readers.

    Raises:
        PlanError: the file is missing or not TOML.
    """
    return "machines" in read_toml(path)


def read_readers(path: Path) -> ReadersSettings:
    """Read a plan.

    Raises:
        PlanError: missing, not TOML, an unknown or wrong key.
    """
    table = read_toml(path)
    where = str(path)
    table["encoder"] = from_table(
        EncoderSettings, table.get("encoder", {}), where=f"{where} [encoder]"
    )
    table["lexical"] = from_table(
        LexicalSettings, table.get("lexical", {}), where=f"{where} [lexical]"
    )
    return from_table(ReadersSettings, table, where=where)
