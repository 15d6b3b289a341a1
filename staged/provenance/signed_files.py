"""Signed files on this machine: written whole, and never over anything but what staged signed."""

from __future__ import annotations

import datetime
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from staged.errors import CorpusError, PlanError
from staged.provenance.containers.kinds import SIDECAR, inside, kind_of
from staged.provenance.manifest.claim import GENERATOR, read_claim
from staged.provenance.manifest.facts import ManifestFault, Signer
from staged.provenance.manifest.store import read_store
from staged.provenance.manifest.verify import BytesAsset, verify_store
from staged.provenance.reading import NOBODY, read_file, sidecar_of, signature_of_file
from staged.provenance.sign import Order, sign
from staged.storage.gate import check_replaceable
from staged.storage.writing import disk_errors, write_atomic

OURS = f"{GENERATOR} "  # how a claim's generator begins, with its version after that


@dataclass(frozen=True)
class Source:
    """What is signed.

    Attributes:
        name: of the file, whose ending says of which kind it is.
        data: its bytes.
        place: where it stands; None of a text that came another way.
    """

    name: str
    data: bytes
    place: Path | None = None


@dataclass(frozen=True)
class SignedFile:
    """What was written.

    Attributes:
        place: the signed file; None where it stayed where it was.
        sidecar: the manifest beside it; None where it stands in the file.
        why_beside: why it does not stand in the file, where it should have; empty else.
        cited: titles of what was signed before, whose manifests are kept in the new one.
    """

    place: Path | None
    sidecar: Path | None
    why_beside: str
    cited: tuple[str, ...]


def sign_file(source: Source, signer: Signer, order: Order, out: Path | None = None) -> SignedFile:
    """Sign a file, which itself stays as it is.

    Args:
        out: the signed file, with its manifest in it or beside it; a name that ends in .c2pa takes
            the manifest alone, and none puts that beside the file.

    Raises:
        PlanError: a place that does not go with the order, or is of another kind by its name.
        ProvenanceError: as `sign`.
        ArtifactError: something stands there that staged did not sign, or it cannot be written.
    """
    place, sidecar = _places(source, order, out)
    order = order if place else replace(order, inside=False)

    def is_replaceable(path: Path) -> bool:
        return _holds(path, source.data) or _is_ours(path)

    check_replaceable(sidecar, _is_manifest_of_ours)
    if place is not None:
        check_replaceable(place, is_replaceable)
    signed = sign(source.name, source.data, signer, order, sidecar=_sidecar_at(source))
    with disk_errors(sidecar):
        sidecar.parent.mkdir(parents=True, exist_ok=True)
        if place is not None:
            write_atomic(place, signed.data, form=is_replaceable)
        if signed.sidecar is not None:
            write_atomic(sidecar, signed.sidecar, form=_is_manifest_of_ours)
        else:  # what may be there is of the file that stood at this place before
            sidecar.unlink(missing_ok=True)
    written = sidecar if signed.sidecar is not None else None
    return SignedFile(place, written, signed.why_beside, signed.cited)


def _places(source: Source, order: Order, out: Path | None) -> tuple[Path | None, Path]:
    """(the signed file, or None where there is none to write; the manifest beside it)."""
    alone = out is None or out.suffix == SIDECAR
    if alone and order.inside:
        raise PlanError("--embed writes a signed file: name it with --out, such as signed.txt")
    if out is not None and alone:
        return None, out
    if out is not None:
        _check_kind(source, out)
        return out, sidecar_of(out)
    if source.place is None:
        raise PlanError("a text from standard input has no place; name one with --out")
    return None, sidecar_of(source.place)


def _check_kind(source: Source, out: Path) -> None:
    kind, taken_for = kind_of(source.name, source.data), kind_of(out.name, source.data)
    if kind is not taken_for:
        raise PlanError(
            f"{out}: by its name it would be read as {taken_for.value}, and {source.name} is"
            f" {kind.value}; choose a name that ends alike"
        )
    if source.place is not None and out.exists() and out.samefile(source.place):
        raise PlanError(f"{out}: is read here and would be replaced; choose another place")


def _sidecar_at(source: Source) -> bytes | None:
    """The manifest that stands beside a file now."""
    place = sidecar_of(source.place) if source.place else None
    return read_file(place) if place and place.is_file() else None


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file is this one: the rest of a run that was killed before it wrote a manifest."""
    return path.stat().st_size == len(data) and path.read_bytes() == data


def _is_ours(path: Path) -> bool:
    """Whether staged signed a file, and it is as it was then."""
    with suppress(CorpusError, ManifestFault):
        if signature_of_file(path).state in ("absent", "invalid"):
            return False
        data, place = read_file(path), sidecar_of(path)
        held = inside(kind_of(path.name, data), data)
        store = held.store if held else read_file(place)
        return _is_by_us(store)
    return False


def _is_manifest_of_ours(path: Path) -> bool:
    """Whether a file is a manifest that staged wrote, and whole: of whatever file it is."""
    with suppress(CorpusError):
        store = read_file(path)
        verdict = verify_store(store, BytesAsset(b""), NOBODY, datetime.datetime.now(datetime.UTC))
        return verdict.facts is not None and _is_by_us(store)
    return False


def _is_by_us(store: bytes) -> bool:
    with suppress(ManifestFault):
        return read_claim(read_store(store).active.claim).generator.startswith(OURS)
    return False
