"""What a plan of `evidence` says: its corpora, its generators, and how the two are weighed; or
which detectors are one together.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from staged.attacks.kinds import check_attacks
from staged.detectors.kinds.ensemble import is_folder_name, is_weight
from staged.detectors.kinds.evidence import MOST_TOKENS, NAME
from staged.detectors.kinds.features import SMOOTHER
from staged.errors import PlanError
from staged.samples.methods import Method, method
from staged.settings import Check, check_each, from_table, nearest, read_toml

PENALISED = "penalised"
SHORTEST = 0.7  # of its length in words, that a passage may have
UNDER = " under "  # between a corpus and the attack on it


@dataclass(frozen=True)
class EvidenceSettings:
    """What `evidence` learns from.

    Attributes:
        human: corpora of human text (names or paths) that are split into train, calibrate and test.
        also_calibrate: corpora that calibrate and test, but neither train nor begin a machine text.
        held_out: corpora that only test.
        generators: language models that write, and how many texts each.
        methods: sampling method → its share of each generator's texts; `penalised` is temperature 1
            with `repetition_penalty`.
        smooth: those methods whose texts are smoother than people write; of the others they are
            rougher.
        smooth_features: which features may tell that a text is smoother, of `features.SMOOTHER`;
            without any named, all of these.
        rough: those generators whose texts are rougher than people write by any method.
        attacks: human texts are also read under each of these (`attacks/kinds.py`): careless, which
            is not to count as rough.
        attacked_share: how much a corpus under an attack counts beside the clean one; more spares
            careless writers, and finds less.
        smooth_penalty, rough_penalty: ridge penalties of the regressions of the two ways.
        rarer: nats by which the rough way is taken to be rarer than the smooth one; odd honest text
            takes it too.
        words: lengths of the texts, in words; each an equal share.
        edges_words: the shortest length of each of the calibration's bins.
        n_human, n_held_out: passages a corpus, of all splits and lengths together.
        prompt_words: words of a human passage that a machine text begins with.
        repetition_penalty: of `penalised`.
        scorer: the model whose zero-shot features are used.
        most_tokens: of a text's beginning that the scorer reads.
        name: of the detector; its calibrations are for detectors of that name.
        seed: of all draws.
    """

    human: tuple[str, ...]
    held_out: tuple[str, ...]
    generators: dict[str, int]
    methods: dict[str, float]
    smooth: tuple[str, ...]
    also_calibrate: tuple[str, ...] = ()
    smooth_features: tuple[str, ...] = ()
    rough: tuple[str, ...] = ()
    attacks: tuple[str, ...] = ()
    attacked_share: float = 0.2
    smooth_penalty: float = 1.0
    rough_penalty: float = 0.03
    rarer: float = 3.0
    words: tuple[int, ...] = (75, 150, 250, 400, 700)
    edges_words: tuple[int, ...] = (50, 100, 200, 300, 500)
    n_human: int = 2000
    n_held_out: int = 1000
    prompt_words: int = 25
    repetition_penalty: float = 1.2
    scorer: str = "smollm2-135m"
    most_tokens: int = MOST_TOKENS
    name: str = NAME
    seed: int = 1

    def __post_init__(self) -> None:
        check_each(self._checks(), where="evidence")

    def _checks(self) -> Iterator[Check]:
        yield from self._of_names()
        for name in self.methods:
            sampling(name)
        yield from self._of_generators()
        check_attacks(self.attacks)
        yield from self._of_regressions()
        yield (
            is_folder_name(self.name),
            f"the name {self.name!r} must be one that a folder can have",
        )
        yield from self._of_lengths()

    def _of_names(self) -> Iterator[Check]:
        for name in ("human", "generators", "methods", "words"):
            yield bool(getattr(self, name)), f"{name} must list at least one"
        for corpus in self.corpora:
            for mark in (":", UNDER):
                yield (
                    mark not in Path(corpus).name,
                    f"corpus {corpus!r} has {mark!r} in its name, which ends a corpus's name in a"
                    " source; rename it",
                )
        called = {
            "corpora": [Path(corpus).name for corpus in self.corpora],
            "generators": list(map(generator_name, self.generators)),
        }
        for kind, names in called.items():
            twice = next((name for name in names if names.count(name) > 1), "")
            yield (
                not twice,
                f"two {kind} are called {twice!r}; their last names tell them apart, so rename one",
            )

    def _of_generators(self) -> Iterator[Check]:
        yield (
            min(self.generators.values()) >= 1
            and all(0 < share < math.inf for share in self.methods.values()),
            "every generator must write at least 1 text, and every method's share be above 0",
        )
        chosen: tuple[tuple[str, tuple[str, ...], Collection[str]], ...] = (
            ("smooth", self.smooth, self.methods),
            ("smooth_features", self.smooth_features, SMOOTHER),
            ("rough", self.rough, self.generators),
        )
        for key, names, known in chosen:
            for name in names:
                yield name in known, f"{key} names {name!r}; {nearest(name, known)}"

    def _of_regressions(self) -> Iterator[Check]:
        shares = (self.smooth_penalty, self.rough_penalty, self.attacked_share)
        yield (
            all(0 <= share < math.inf for share in shares),
            "smooth_penalty, rough_penalty and attacked_share must be at least 0",
        )
        yield (
            0 < self.repetition_penalty < math.inf and math.isfinite(self.rarer),
            "repetition_penalty must be above 0, and rarer a number",
        )
        ways = {
            name in self.smooth and model not in self.rough
            for name in self.methods
            for model in self.generators
        }
        yield (
            ways == {True, False},
            "needs machine texts of both ways: name in smooth those methods that write more"
            " smoothly than people and leave others, or generators in rough, for the other way",
        )

    def _of_lengths(self) -> Iterator[Check]:
        yield (
            min(*self.words, self.n_human, self.prompt_words, self.most_tokens) >= 1
            and self.n_held_out >= 0,
            "words, n_human, prompt_words and most_tokens must be at least 1, n_held_out at"
            " least 0",
        )
        shortest = int(SHORTEST * min(self.words))
        yield (
            self.prompt_words < shortest,
            f"prompt_words is {self.prompt_words}, and the shortest texts have {shortest} words:"
            " nothing would be left for a machine to write; lower it, or raise words",
        )
        edges = self.edges_words
        yield (
            bool(edges) and edges[0] >= 1 and all(a < b for a, b in pairwise(edges)),
            f"edges_words must ascend from at least 1 word, not {list(edges)}",
        )
        yield (
            max(self.words) >= edges[0],
            f"no text of {max(self.words)} words is long enough for edges_words from {edges[0]}",
        )

    @property
    def corpora(self) -> tuple[str, ...]:
        """All of human text, in the order in which their passages stand."""
        return (*self.human, *self.also_calibrate, *self.held_out)


@dataclass(frozen=True)
class EnsembleSettings:
    """Several detectors as one; nothing of it is trained.

    Attributes:
        members: detectors of the kind of `evidence`, by name or folder, each with its weight in the
            mean of their log-odds.
        texts: the plan, a file or a shipped one's name, whose texts calibrate and test it; none of
            its `valid` and `test` texts may have trained a member.
        name: of the detector; its calibrations are for detectors of that name.
    """

    members: dict[str, float]
    texts: str
    name: str

    def __post_init__(self) -> None:
        if len(self.members) < 2 or not all(map(is_weight, self.members.values())):
            raise PlanError(
                "ensemble: members must list at least two detectors, each with a weight above 0,"
                f" not {self.members}"
            )


def read_detector_plan(path: Path) -> EvidenceSettings | EnsembleSettings:
    """Read a plan; one that lists `members` is an ensemble's.

    Raises:
        PlanError: missing, not TOML, an unknown or wrong key.
    """
    table = read_toml(path)
    if "members" in table:
        return from_table(EnsembleSettings, table, where=str(path))
    return from_table(EvidenceSettings, table, where=str(path))


def read_evidence(path: Path) -> EvidenceSettings:
    """Read a plan that is no ensemble's.

    Raises:
        PlanError: missing, not TOML, an unknown or wrong key.
    """
    return from_table(EvidenceSettings, read_toml(path), where=str(path))


def sampling(name: str) -> Method:
    """How one of the plan's methods draws; `penalised` has its penalty beside it.

    Raises:
        SamplingError: no such method.
    """
    return method("temperature-1" if name == PENALISED else name)


def generator_name(model: str) -> str:
    """What `generator_of` calls a model of the plan; a dot would end its name."""
    return Path(model).name.replace(".", "_")
