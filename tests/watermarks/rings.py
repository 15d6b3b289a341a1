"""A ring of keys in a folder of a test's own, and text under them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from staged.keys.ring import Key, Use, new_key, open_key, record_use
from staged.model.bpe import BPE
from staged.streams import derive
from staged.watermarks.candidates import watermark_of_use
from staged.watermarks.contract import MISSING, Watermark


@contextmanager
def drawn_secrets(name: str) -> Iterator[None]:
    """Keys that are made here have the same secret in every run, and so have tests their p-values;
    of a hundred keys that chance made one would call a text marked that is not.
    """
    with pytest.MonkeyPatch.context() as patch:
        draw = partial(derive, 24, "secret of", name)
        patch.setattr("staged.keys.material.secrets.randbits", lambda bits: draw() % 2**bits)
        yield


def used_key(name: str, model: Path, *schemes: str, vocabulary: int) -> Key:
    """A new key that has marked with each scheme, in this model's tokens."""
    with drawn_secrets(name):
        new_key(name, purposes=("watermark",))
    for scheme in schemes:
        record_use(open_key(name), Use(scheme, str(model), vocabulary, {}))
    return open_key(name)


def marked_text(bpe: BPE, watermark: Watermark, seed: int, length: int) -> str:
    """So many words that are a token each, one of twelve at each place."""
    words = [i for token, i in bpe.vocabulary().items() if token.startswith("Ġ") and len(token) > 3]
    rng, tokens = np.random.default_rng(seed), [MISSING] * watermark.width
    for _ in range(length):
        ids, context = rng.choice(words, size=12, replace=False), tokens[-watermark.width :]
        is_marked = watermark.takes_short_contexts or MISSING not in context
        column = (
            watermark.choose(
                torch.full((1, 12), 1 / 12),
                torch.from_numpy(ids[None]),
                torch.tensor([context]),
                torch.from_numpy(rng.random(1)),
            )
            if is_marked
            else rng.integers(12)
        )
        tokens.append(int(ids[int(column)]))
    return bpe.decode(tokens[watermark.width :])


def of_key(key: Key, scheme: str) -> Watermark:
    """The key's watermark in one of the schemes that it has marked with."""
    return watermark_of_use(key, next(use for use in key.uses if use.scheme == scheme))
