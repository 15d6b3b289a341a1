"""What a study of watermarks is: the models that write, the schemes that mark, how much text is
tested, and what is done to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from staged.attacks.kinds import ATTACKS, check_attacks
from staged.corpus.build import CorpusSettings, given, recorded
from staged.errors import PlanError
from staged.model.devices import check_device
from staged.samples.methods import method
from staged.settings import (
    check_each,
    check_listed,
    computing,
    describing,
    from_table,
    over,
    read_toml,
)
from staged.storage.placeless import named

# a scheme as a plan calls it → the scheme, and what of its settings is not the usual
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "gumbel": ("gumbel", {}),
    "gumbel-dual": ("gumbel-dual", {}),
    "kgw": ("kgw", {}),
    "kgw-selfhash": ("kgw", {"seeding": "selfhash"}),
    "sbw": ("sbw", {}),
    "sbw-lefthash": ("sbw", {"seeding": "lefthash"}),
    "synthid": ("synthid", {}),
}
MOST_TOKENS = 4096


@dataclass(frozen=True)
class ProvenanceSettings:
    """A study of watermarks.

    Attributes:
        models: who writes, by name or folder; the first one's tokenizer reads human text.
        schemes: what marks: `gumbel`, `gumbel-dual`, `kgw`, `kgw-selfhash`, `sbw`, `sbw-lefthash`,
            `synthid`.
        title: the report's heading.
        methods: how tokens are drawn.
        n_texts: texts of each model, method and scheme.
        length_tokens: new tokens of a text, at most.
        lengths: tokens after which texts are cut and tested again.
        opening_words: of a human passage, which a text continues; its prompt.
        attacks: changes that can hide a mark, by name.
        substitutions: shares of words that become others, drawn from human passages.
        attacked_tokens: tokens of the texts that are changed; one of `lengths`.
        n_human: human passages that know nothing of any key.
        human_tokens: of each of them, the first so many.
        n_keys: keys that human text is tested for.
        n_marking_keys: of these keys, how many mark; texts are dealt to them in turn.
        judge: the model that says what a text costs.
        seed: of the keys, the draw of passages, the samples and the attacks.
        batch, precision: of generation.
        corpus: human text.
        author: who made the study; the report shows it, and nothing depends on it.
        date: when it was made, likewise; never the clock's.
        device: where models write and the judge reads: `cpu`, `cuda`, or `auto` for a GPU where
            there is one.
    """

    models: tuple[str, ...]
    schemes: tuple[str, ...]
    title: str = "Watermarks"
    methods: tuple[str, ...] = ("temperature-1", "top-k-40", "nucleus")
    n_texts: int = 100
    length_tokens: int = 400
    lengths: tuple[int, ...] = (25, 50, 100, 200, 400)
    opening_words: int = 8
    attacks: tuple[str, ...] = tuple(ATTACKS)
    substitutions: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5)
    attacked_tokens: int = 200
    n_human: int = 10_000
    human_tokens: int = 100
    n_keys: int = 10
    n_marking_keys: int = 4
    judge: str = "mini-xl"
    seed: int = 1
    batch: int = 128
    precision: str = ""
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    author: str = describing()
    date: str = describing()
    device: str = computing("auto")

    def __post_init__(self) -> None:
        check_listed(self.models, where="provenance: models")
        check_listed(self.schemes, where="provenance: schemes", known=VARIANTS)
        check_listed(self.methods, where="provenance: methods")
        check_attacks(self.attacks)
        check_device(self.device)
        for name in self.methods:
            if method(name).temperature == 0:
                raise PlanError(
                    f"provenance: methods: {name} leaves nothing to chance, nor to a key"
                )
        least = {"n_texts": 1, "n_human": 1, "n_keys": 1, "opening_words": 1, "batch": 1}
        check_each(
            (
                (getattr(self, name) >= low, f"{name} must be at least {low}")
                for name, low in least.items()
            ),
            where="provenance",
        )
        check_each(
            (
                (1 <= self.n_marking_keys <= self.n_keys, "n_marking_keys must be 1 to n_keys"),
                (1 <= self.length_tokens <= MOST_TOKENS, f"length_tokens: 1 to {MOST_TOKENS:,}"),
                (
                    bool(self.lengths) and all(1 <= n <= self.length_tokens for n in self.lengths),
                    "lengths must lie between 1 and length_tokens",
                ),
                (len(set(self.lengths)) == len(self.lengths), "lengths: each once"),
                (
                    self.attacked_tokens in self.lengths,
                    "attacked_tokens must be one of lengths, at which texts are tested unchanged",
                ),
                (
                    all(0 < share <= 1 for share in self.substitutions),
                    "substitutions are shares of words, above 0 and at most 1",
                ),
                (
                    len({f"{share:.0%}" for share in self.substitutions})
                    == len(self.substitutions),
                    "substitutions: each percentage once",
                ),
            ),
            where="provenance",
        )

    def recorded(self) -> dict[str, Any]:
        """The settings that determine results, without paths."""
        without_paths: dict[str, Any] = named(recorded(self))
        return without_paths


def is_provenance(path: Path) -> bool:
    """Whether a plan is of a study of watermarks: it has `schemes`."""
    return "schemes" in read_toml(path)


def read_provenance(
    path: Path, *, corpus: str = "", literal: bool = False, device: str = ""
) -> ProvenanceSettings:
    """A plan from TOML, with other human text or another device if they are named.

    Raises:
        PlanError: unreadable or wrong; the sentence names the key.
    """
    table = read_toml(path) | ({"device": device} if device else {})
    inner = over({}, table.get("corpus", {}), where=f"{path} [corpus]")
    inner |= given(corpus, literal=literal)
    table["corpus"] = from_table(CorpusSettings, inner, where=f"{path} [corpus]")
    return from_table(ProvenanceSettings, table, where=str(path))
