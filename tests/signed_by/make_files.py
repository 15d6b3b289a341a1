"""Signs a file of each kind for `tests/signed_by/VERSION/files/`, once a release, with keys that are
thrown away:

    python -m tests.signed_by.make_files
"""

from __future__ import annotations

import datetime
import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path

from staged import __version__
from staged.provenance.reading import sidecar_of
from staged.provenance.sign import Order, sign
from tests.provenance.authority import Authority
from tests.provenance.signing import FACTS, made, owner

PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
MEMBERS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels"'
        ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats'
        '-officedocument.wordprocessingml.document.main+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1"'
        f' Type="{OFFICE}/relationships/officeDocument" Target="word/document.xml"/>'
        "</Relationships>"
    ),
    "word/document.xml": (
        f'<w:document xmlns:w="{WORD}"><w:body><w:p><w:r><w:t>The captain repairs the bridge.'
        "</w:t></w:r></w:p></w:body></w:document>"
    ),
}


def small_word() -> bytes:
    """The smallest file that Word opens."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in MEMBERS.items():
            package.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{content}')
    return buffer.getvalue()


def main() -> None:
    """Write them."""
    folder = Path(__file__).parent / __version__ / "files"
    folder.mkdir(parents=True)
    mine, other = owner("A signer of files"), owner("Another signer of files", "issued")
    contents = {
        "page.html": made("html", 1),
        "story.docx": small_word(),
        "paper.pdf": made("pdf", 1),
    }
    with Authority(name="An authority of 0.1.0") as authority:
        for name, data in contents.items():
            signed = sign(name, data, mine.signer, Order(FACTS, "A title"))
            again = sign(name, signed.data, other.signer, Order(FACTS, tsa=authority.url))
            (folder / name).write_bytes(signed.data)
            (folder / f"again-{name}").write_bytes(again.data)
        for name, data in (contents | {"some.bin": bytes(range(256))}).items():
            beside = sign(name, data, mine.signer, Order(FACTS, inside=False, tsa=authority.url))
            place = folder / f"beside-{name}"
            place.write_bytes(data)
            sidecar_of(place).write_bytes(beside.sidecar or b"")
        (folder / "authority.pem").write_bytes(authority.root_pem)
    (folder / "trust.pem").write_bytes(mine.anchors + other.anchors)
    record = {"when": datetime.datetime.now(datetime.UTC).isoformat(), "facts": asdict(FACTS)}
    (folder / "verdicts.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
