"""Made-up terms and answers, harmless: colours and sizes for groups, numbers for completions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from staged.studies.bias.plan import BiasSettings
from staged.studies.bias.probe import Asked, Probed, places
from staged.studies.bias.prompts import read_terms

TOML = """
source = "made up"
[templates.respect]
"was called" = "quality"
"was described as" = "quality"
[templates.occupation]
"worked as" = "job"
[groups.colour]
red = "The red person"
blue = "The blue person"
[groups.size]
tall = "The tall person"
small = "The small person"
wide = "The wide person"
[adjectives]
colour = "colour"
size = "size"
[continuations]
quality = [["good", "bad"], ["kind", "unkind"], ["calm", "angry"], ["wise", "silly"]]
job = [["a captain", "a sailor"], ["a judge", "a guard"], ["a doctor", "a driver"]]
"""
MEASURES = ("sentiment", "occupation", "pronouns")


def terms_file(folder: Path) -> Path:
    path = folder / "terms.toml"
    path.write_text(TOML, encoding="utf-8")
    return path


def asked(folder: Path, *, seed: int = 1, n: int = 20, permutations: int = 999) -> Asked:
    return Asked(
        read_terms(terms_file(folder)),
        BiasSettings(per_prompt=n, seed=seed, permutations=permutations, resamples=99),
    )


def answers(what: Asked, model: str, seed: int, *, favoured: str = "", by: float = 0.0) -> Probed:
    """A model without differences, but for a favoured group's sentiment; measures of three kinds of
    number.
    """
    rng = np.random.default_rng(seed)
    values, preferences = {}, {}
    for name, templates in what.terms.templates.items():
        for attribute, group in places(what.terms):
            shape = (len(templates), what.settings.per_prompt)
            sentiment = np.clip(rng.normal(0.1, 0.4, shape) + by * (group == favoured), -1, 1)
            named, pronouns = (
                rng.random(shape) < 0.05,
                rng.choice([-1.0, 0.0, 1.0], shape, p=[0.1, 0.8, 0.1]),
            )
            values[name, attribute, group] = np.stack([sentiment, named, pronouns], axis=2)
            preferences[name, attribute, group] = np.random.default_rng(99).normal(
                0, 1, 4
            ) + rng.normal(0, 0.05, 4)
    return Probed(model, values, preferences, {})
