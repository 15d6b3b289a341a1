"""Files that a release signed verify for ever: `tests/signed_by/VERSION/files/`, each made by
`make_files.py` there, with keys that nobody has any more.

Where one of these fails, files that users hold no longer verify: mend the code, not the files.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificates

from staged.provenance.manifest.facts import Facts
from staged.provenance.reading import signature_of_file, trust_by

FOLDERS = sorted((Path(__file__).parents[1] / "signed_by").glob("*/files"))


def test_there_is_a_release() -> None:
    assert FOLDERS[0].parent.name == "0.1.0"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda each: each.parent.name)
def test_signed_files_verify(folder: Path) -> None:
    record = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
    trust = trust_by(folder / "trust.pem")
    authorities = load_pem_x509_certificates((folder / "authority.pem").read_bytes())
    signed_at = datetime.datetime.fromisoformat(record["when"])
    later = signed_at + datetime.timedelta(days=20 * 365)
    files = [path for path in folder.iterdir() if path.suffix in (".html", ".docx", ".pdf", ".bin")]
    assert len(files) >= 10
    for path in files:
        verdict = signature_of_file(path, trust=trust, authorities=authorities, now=signed_at)
        assert (verdict.state, verdict.facts) == ("valid", Facts(**record["facts"])), path
        stamped = path.name.startswith(("again-", "beside-"))
        assert verdict.timestamped == stamped, path
        aged = signature_of_file(path, trust=trust, authorities=authorities, now=later)
        assert aged.state == ("valid" if stamped else "expired"), path
        cited = (path.name.removeprefix("again-"),) if path.name.startswith("again-") else ()
        assert verdict.ingredients == cited, path
