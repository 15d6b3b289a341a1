"""Texts that a release marks, which every later one must find: `python -m
tests.signed_by.make_marked VERSION` writes them once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from staged.samples.decoders import load_decoder
from staged.samples.engine import generate
from staged.samples.methods import method
from staged.samples.rows import Options
from staged.studies.provenance.plan import VARIANTS
from staged.watermarks.contract import Watermark
from staged.watermarks.evidence import Candidate, MarkTest, tests_of
from staged.watermarks.schemes import make_watermark

MODEL, SECRET, PROMPT, LENGTH = "mini-s", 0x1234_5678_9ABC_DEF0, "My fellow citizens", 150


def mark_of(variant: str, vocabulary: int) -> Watermark:
    """A scheme under the key of these texts, which is no secret."""
    scheme, settings = VARIANTS[variant]
    return make_watermark(scheme, SECRET, vocabulary, settings)


def examined(text: str, variant: str) -> MarkTest:
    """What the test of the right key says of a text."""
    decoder, tokenizer = load_decoder(MODEL, precision="fp32", rows=1)
    mark = mark_of(variant, decoder.config.n_vocab)
    [test] = tests_of(text, [Candidate("alpha", mark, tokenizer, MODEL)], passages=False)
    return test


def marked(variant: str) -> dict[str, Any]:
    """A text under one scheme, and what its test says."""
    decoder, tokenizer = load_decoder(MODEL, precision="fp32", rows=1)
    mark = mark_of(variant, decoder.config.n_vocab)
    [drawn] = generate(
        decoder,
        tokenizer.encode_batch([PROMPT]),
        method("temperature-1"),
        length=LENGTH,
        end=tokenizer.end_of_text,
        seed=1,
        options=Options(watermark=mark),
    )
    text = tokenizer.decode(drawn.tokens)
    test = examined(text, variant)
    return {"text": text, "tokens": test.tokens, "score": test.score, "p_value": test.p_value}


if __name__ == "__main__":
    place = Path(__file__).parent / sys.argv[1] / "marked.json"
    texts = {variant: marked(variant) for variant in VARIANTS}
    place.write_text(json.dumps(texts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
