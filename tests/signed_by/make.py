"""Signs texts as a release does: `python -m tests.signed_by.make VERSION`, once a release.

The keys live as long as the process: nobody can ever sign these texts again.
"""

from __future__ import annotations

import datetime
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from staged.provenance.manifest.facts import Facts, Ingredient
from staged.provenance.manifest.plain_text import sign_beside, sign_text, verify_text
from staged.provenance.manifest.sign import new_signing
from staged.provenance.manifest.trust import Trust, trust_from
from tests.provenance.signers import DAY, FACTS, Identity, identity

FOLDER = Path(__file__).parent
TEXTS = {
    "plain": "The river crosses the old mill, and nobody measures the winter.\n",
    "unicode": "Größe, e\u0301tude, שלום, 日本語, 👩\u200d👩\u200d👧 and ❤\ufe0f.\n",
    "empty": "",
}


def make(folder: Path, when: datetime.datetime) -> None:
    """A folder of texts, manifests beside them, certificates, and what a check must say."""
    folder.mkdir()
    root = identity("Test root", kind="ES256", authority=True, begins=when, ends=when + 3650 * DAY)
    mine = identity("Test key", begins=when, ends=when + 365 * DAY)
    issued = [
        identity(f"Test {kind}", kind=kind, issuer=root, begins=when, ends=when + 365 * DAY)
        for kind in ("Ed25519", "ES256", "ES384", "PS256")
    ]
    (folder / "trust.pem").write_bytes(mine.pem + root.pem)
    for name, text in TEXTS.items():
        _write(folder / f"{name}.txt", sign_text(text, FACTS, mine.signer, new_signing(when)))
    for each in issued:
        name = each.chain[0].subject.rfc4514_string().removeprefix("CN=Test ").lower()
        text = sign_text(TEXTS["plain"], Facts(), each.signer, new_signing(when), title=name)
        _write(folder / f"{name}.txt", text)
    _write_others(folder, mine, when)
    (folder / "verdicts.json").write_text(json.dumps(_verdicts(folder, when), indent=1) + "\n")


def _write_others(folder: Path, mine: Identity, when: datetime.datetime) -> None:
    padded = sign_text(TEXTS["plain"], FACTS, mine.signer, new_signing(when), padded=True)
    _write(folder / "padded.txt", padded)
    first = sign_beside("An input.", FACTS, mine.signer, new_signing(when))
    cited = [Ingredient(first, "input.txt", ("claimSignature.validated",))]
    text = sign_text(TEXTS["plain"], FACTS, mine.signer, new_signing(when), ingredients=cited)
    _write(folder / "cites.txt", text)
    _write(folder / "beside.txt", TEXTS["unicode"])
    store = sign_beside(TEXTS["unicode"], FACTS, mine.signer, new_signing(when))
    (folder / "beside.txt.c2pa").write_bytes(store)


def _write(place: Path, text: str) -> None:
    place.write_bytes(text.encode())


def _verdicts(folder: Path, when: datetime.datetime) -> dict[str, Any]:
    trust = trust_from((folder / "trust.pem").read_bytes())
    texts = [each for each in sorted(folder.glob("*.txt")) if each.name != "beside.txt"]
    return {
        "when": when.isoformat(),
        "facts": asdict(FACTS),
        "signers": {
            each.name: verify_text(each.read_bytes().decode(), trust, when).signer for each in texts
        },
        "strangers": sorted(
            {verify_text(each.read_bytes().decode(), Trust(), when).reason for each in texts}
        ),
    }


if __name__ == "__main__":
    make(FOLDER / sys.argv[1], datetime.datetime.now(datetime.UTC).replace(microsecond=0))
