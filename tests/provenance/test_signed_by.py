"""What a release signed verifies for ever: `tests/signed_by/VERSION/`, each made by `make.py` there
when it was released, with keys that nobody has any more.

Where one of these fails, manifests that users hold no longer verify: mend the code, not the files.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from staged.provenance.manifest.facts import Facts
from staged.provenance.manifest.plain_text import verify_beside, verify_text
from staged.provenance.manifest.trust import Trust, trust_from
from tests.provenance.signers import DAY

RELEASES = sorted(
    each for each in (Path(__file__).parents[1] / "signed_by").iterdir() if each.name[0].isdigit()
)


def recorded(release: Path) -> tuple[dict[str, Any], Trust, datetime.datetime]:
    record = json.loads((release / "verdicts.json").read_text())
    trust = trust_from((release / "trust.pem").read_bytes())
    return record, trust, datetime.datetime.fromisoformat(record["when"])


def test_there_is_a_release() -> None:
    assert RELEASES[0].name == "0.1.0"


@pytest.mark.parametrize("release", RELEASES, ids=lambda each: each.name)
def test_signed_texts_verify(release: Path) -> None:
    record, trust, when = recorded(release)
    assert len(record["signers"]) >= 9
    for name, signer in record["signers"].items():
        text = (release / name).read_bytes().decode()
        verdict = verify_text(text, trust, when)
        assert (verdict.state, verdict.signer, verdict.signed_at) == ("valid", signer, when), name
        assert verify_text(text, Trust(), when).reason in record["strangers"]
        assert verify_text(text, trust, when + 400 * DAY).state == "expired"
        assert verify_text("x" + text, trust, when).state == "invalid"
    plain = verify_text((release / "plain.txt").read_text(), trust, when)
    assert plain.facts == Facts(**record["facts"])
    cites = verify_text((release / "cites.txt").read_text(), trust, when)
    assert cites.ingredients == ("input.txt",)


@pytest.mark.parametrize("release", RELEASES, ids=lambda each: each.name)
def test_a_manifest_beside_a_text_verifies(release: Path) -> None:
    _, trust, when = recorded(release)
    text = (release / "beside.txt").read_bytes().decode()
    store = (release / "beside.txt.c2pa").read_bytes()
    assert verify_beside(text, store, trust, when).state == "valid"
    assert verify_beside(text + " ", store, trust, when).reason == "text changed"


def test_no_private_key_is_kept() -> None:
    for release in RELEASES:
        for place in filter(Path.is_file, release.rglob("*")):
            assert b"PRIVATE" not in place.read_bytes(), place
