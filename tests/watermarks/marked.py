"""Token ids as a model of a given distribution would write them under a watermark."""

from __future__ import annotations

import numpy as np
import torch

from staged.watermarks.contract import MISSING, Watermark


def marked(
    watermark: Watermark, masses_TK: np.ndarray, seed: int, *, vocabulary: int = 50_000
) -> list[int]:
    """T token ids; at each step K random ids have these masses. A context that comes again, or one
    that the scheme does not mark, is drawn without the key.
    """
    rng, tokens = np.random.default_rng(seed), [MISSING] * watermark.width
    seen: set[tuple[int, ...]] = set()
    for masses in masses_TK:
        ids = rng.choice(vocabulary, size=len(masses), replace=False)
        context = tuple(tokens[-watermark.width :])
        is_short = MISSING in context and not watermark.takes_short_contexts
        if is_short or context in seen:
            column = int(rng.choice(len(masses), p=masses / masses.sum()))
        else:
            column = int(
                watermark.choose(
                    torch.tensor(masses[None], dtype=torch.float32),
                    torch.from_numpy(ids[None]),
                    torch.tensor([context]),
                    torch.from_numpy(rng.random(1)),
                )[0]
            )
        seen.add(context)
        tokens.append(int(ids[column]))
    return tokens[watermark.width :]
