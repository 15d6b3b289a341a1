"""Which marks are looked for, and in whose tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from staged.errors import CheckpointError
from staged.model.bpe import BPE
from staged.watermarks.candidates import candidates_of
from tests.watermarks.rings import used_key


def test_where_the_model_that_wrote_is_not_here_the_one_that_is_named_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Path, bpe: BPE
) -> None:
    monkeypatch.setenv("STAGED_KEYS", str(tmp_path / "keys"))
    used_key("alpha", tmp_path / "gone", "gumbel", vocabulary=bpe.n_vocab)
    assert candidates_of() == ()
    with pytest.raises(CheckpointError):
        candidates_of(["alpha"])
    for keys in ((), ("alpha",)):
        [candidate] = candidates_of(keys, model=str(tiny))
        assert candidate.model == str(tiny)
        assert candidate.tokenizer.vocabulary() == bpe.vocabulary()
