"""A verifier of the ring's keys: what it finds in a text, and what it says of a key that others
had.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from staged.keys.ring import Key, revoke
from staged.model.bpe import BPE
from staged.provenance.manifest.verdicts import absent_verdict
from staged.provenance.verify import open_verifier
from tests.watermarks.rings import marked_text, of_key, used_key


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Path, bpe: BPE) -> Key:
    monkeypatch.setenv("STAGED_KEYS", str(tmp_path))
    return used_key("alpha", tiny, "gumbel", vocabulary=bpe.n_vocab)


def test_a_mark_is_found_and_no_place_of_this_machine_is_told(
    key: Key, tiny: Path, bpe: BPE
) -> None:
    text = marked_text(bpe, of_key(key, "gumbel"), 1, 120)
    row = open_verifier(detector="").examine("a", text, absent_verdict()).row()
    assert (row["conclusion"], row["watermark"]["key"]) == ("watermarked", "alpha")
    assert (row["watermark"]["model"], row["watermark"]["warning"]) == (tiny.name, "")
    assert str(tiny.parent) not in str(row)
    assert "revoked" not in row["sentence"] + row["watermark"]["reason"]


def test_a_mark_of_a_revoked_key_is_found_with_a_warning(key: Key, bpe: BPE) -> None:
    text = marked_text(bpe, of_key(key, "gumbel"), 1, 120)
    revoke("alpha", "stolen")
    row = open_verifier(detector="").examine("a", text, absent_verdict()).row()
    assert row["watermark"]["found"]
    for said in (row["sentence"], row["watermark"]["reason"], row["watermark"]["warning"]):
        assert "(stolen), so others may have marked it" in said
    assert not open_verifier(detector="").watermark("Two words.").warning
