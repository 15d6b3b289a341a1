"""Verbs that say where a text comes from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from staged.verbs.given import path_of

if TYPE_CHECKING:  # what only a checker reads: `import staged` loads no library
    from staged.provenance.signed_files import SignedFile, Source

__all__ = ["sign"]


def sign(
    file: str | Path,
    key: str,
    *,
    out: str | Path | None = None,
    data: bytes | None = None,
    model: str = "",
    method: str = "",
    watermark: str = "",
    watermark_key: str = "",
    detector: str = "",
    title: str = "",
    row: int | None = None,
    embed: bool | None = None,
    tsa: str = "",
) -> SignedFile:
    """Sign a file: a C2PA manifest says how it was made, and that nobody has changed it since.

    Args:
        file: any file. Of one that `staged sample` wrote, model, method and watermark are taken
            from its rows.
        key: id of the key that signs.
        out: the signed file; a name that ends in .c2pa takes the manifest alone, and without one
            that stands beside the file.
        data: what is signed, where it is in no file; `file` is then its name.
        model, method: by which it was written; a model whose files are here is named with the
            digest of its weights.
        watermark, watermark_key: the scheme of the mark in it, and the id of its key.
        detector: a URL that tests for the mark or the text.
        title: what the content is called.
        row: sign the text of this sample alone; `out` is then a text file.
        embed: put the manifest into the file, or beside it; None takes the file's kind: into pages,
            Word files and PDF, beside all others.
        tsa: URL of an RFC 3161 time-stamp authority; without one the time is your own word.

    Raises:
        CorpusError, PlanError: the file cannot be read, or what is asked does not fit together.
        ProvenanceError: the key may not sign, a manifest that is there cannot be kept, or there is
            no time stamp to be had.
        ArtifactError: `out` holds something that staged did not sign, or cannot be written.

    Example:
        >>> import staged
        >>> _ = Path("note.txt").write_text("The boat came in.")
        >>> signed = staged.sign("note.txt", "alpha", model="mini-s")  # doctest: +SKIP
        >>> signed.sidecar  # doctest: +SKIP
        PosixPath('note.txt.c2pa')
    """
    from staged.keys.ring import open_key
    from staged.provenance.model_facts import facts
    from staged.provenance.sign import Order, signer_of
    from staged.provenance.signed_files import sign_file

    signer = signer_of(open_key(key))
    given = {"model": model, "watermark": watermark, "key": watermark_key}
    source, told = _told(str(file), data, row, path_of(out))
    told |= {name: value for name, value in given.items() if value}
    told |= {"sampling": {"method": method}} if method else {}
    order = Order(facts(**told, detector=detector), title, embed, tsa)
    return sign_file(source, signer, order, path_of(out))


def _told(
    file: str, data: bytes | None, row: int | None, out: Path | None
) -> tuple[Source, dict[str, Any]]:
    """(what is signed, what a file of samples says of how it was made)."""
    from staged.errors import PlanError
    from staged.provenance.model_facts import agreed, row_of, samples_in
    from staged.provenance.reading import read_file
    from staged.provenance.signed_files import Source

    if data is not None:
        return Source(file, data), {}
    path = Path(file)
    data = read_file(path)
    rows: list[Mapping[str, Any]] = list(samples_in(path))
    if row is None:
        return Source(path.name, data, path), agreed(rows)
    if out is None:
        raise PlanError("--row signs one text: name the file for it with --out, such as text.txt")
    sample = row_of(path, rows, row)
    return Source(out.name.removesuffix(".c2pa"), sample["text"].encode()), agreed([sample])
