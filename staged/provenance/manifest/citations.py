"""Manifests that others cite: those of an asset's inputs, and of theirs (C2PA 2.4, 15.11)."""

from __future__ import annotations

from staged.provenance.manifest.assertions import read_value
from staged.provenance.manifest.claim import HERE, STORE, read_claim, read_link
from staged.provenance.manifest.encoding.jumbf import Superbox
from staged.provenance.manifest.facts import ManifestFault
from staged.provenance.manifest.store import Store, read_manifest

LABELS = "c2pa.ingredient"  # of every version
FIELDS = ("activeManifest", "c2pa_manifest")  # since version 3, and before


def check_citations(store: Store) -> tuple[str, ...]:
    """That every manifest before the asset's own is cited, and is what was cited.

    Returns:
        Titles of the asset's own inputs.

    Raises:
        ManifestFault: one is not there, was changed, is cited by nobody, or cannot be read.
    """
    waiting, seen, titles = [store.active.label], {store.active.label}, []
    while waiting:
        citing = read_manifest(store.boxes[waiting.pop()])
        algorithm = read_claim(citing.claim).algorithm
        for assertion in citing.assertions.values():
            if not assertion.label.startswith(LABELS):
                continue
            title, label = _cited(store, assertion, algorithm)
            titles += [title] if citing.label == store.active.label else []
            if label is not None and label not in seen:
                seen.add(label)
                waiting.append(label)
    if seen != set(store.boxes):
        raise ManifestFault("manifest.unreferenced", "a manifest that nobody cites")
    return tuple(titles)


def _cited(store: Store, assertion: Superbox, algorithm: str) -> tuple[str, str | None]:
    """(title, label of its manifest) of an input; None of one without a manifest."""
    value = read_value(assertion)
    title = value.get("dc:title")
    title = title if isinstance(title, str) else ""
    uris = [value[name] for name in FIELDS if name in value]
    if not uris:
        return title, None
    link = read_link(uris[0], algorithm)
    label = link.url.removeprefix(f"{HERE}/{STORE}/")
    if label not in store.boxes:
        raise ManifestFault("ingredient.manifest.missing", "a cited manifest is not there")
    if not link.holds(store.boxes[label].hashed):
        raise ManifestFault("ingredient.manifest.mismatch", "a cited manifest was changed")
    return title or label, label
