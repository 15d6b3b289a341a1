"""A file in, the same file signed out: its manifest in it where it can carry one, or beside it."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from staged.errors import ProvenanceError
from staged.keys.certificates import facts_of
from staged.keys.key import Key
from staged.keys.ring import usable
from staged.provenance.containers import html, pdf, word
from staged.provenance.containers.binding import Binding, ContainerFault
from staged.provenance.containers.kinds import (
    Held,
    Kind,
    beside,
    inside,
    kind_of,
    media_type,
    sketch,
)
from staged.provenance.manifest import cose
from staged.provenance.manifest.assertions import DataHash
from staged.provenance.manifest.encoding.text_wrapper import find_wrapper
from staged.provenance.manifest.facts import (
    Facts,
    Ingredient,
    ManifestFault,
    SignatureVerdict,
    Signer,
    Signing,
)
from staged.provenance.manifest.plain_text import sign_text, stripped
from staged.provenance.manifest.sign import new_signing, sign_asset, sign_claim, size_of
from staged.provenance.manifest.trust import Trust
from staged.provenance.manifest.verify import verify_store
from staged.provenance.time_stamps import request_stamp

ANY_SIZE = 1 << 16  # of a manifest, until its own is known


@dataclass(frozen=True)
class Order:
    """What a signature is to say, and how.

    Attributes:
        facts: of how the content was made.
        title: what the content is called; empty for nothing.
        inside: whether its manifest is to stand in the file; None where the file is of a kind
            that has a place for one: a page, a Word file, a PDF.
        tsa: URL of a time-stamp authority; empty where the time is the signer's own word.
    """

    facts: Facts = field(default_factory=Facts)
    title: str = ""
    inside: bool | None = None
    tsa: str = ""


@dataclass(frozen=True)
class Signed:
    """A signed file.

    Attributes:
        data: the file, with its manifest in it or as it was.
        sidecar: the manifest that stands beside it; None where it is in it.
        why_beside: why it is not in it, where it should have been; empty else.
        cited: titles of what carried a manifest before, which is kept in the new one.
    """

    data: bytes = field(repr=False)
    sidecar: bytes | None = field(repr=False)
    why_beside: str = ""
    cited: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """What is signed by whom, with all that a manifest of it says.

    Attributes:
        name: the file's, whose ending says of which kind it is.
        earlier: the manifests that it carries, or that stand beside it.
        stamp: gives a time stamp of a message, or None.
    """

    name: str
    kind: Kind
    data: bytes = field(repr=False)
    order: Order
    signer: Signer
    signing: Signing
    earlier: tuple[Ingredient, ...]
    stamp: Callable[[bytes], bytes] | None


def signer_of(key: Key) -> Signer:
    """What signs with a key.

    Raises:
        ProvenanceError: it may sign nothing new.
    """
    usable(key, "signing")
    return Signer(key.signing_pem(), key.certificates())


def sign(
    name: str, data: bytes, signer: Signer, order: Order, *, sidecar: bytes | None = None
) -> Signed:
    """A file with its manifest.

    A manifest that the file carries, or that stands beside it, stays in the new one and is cited
    as what the file was before. A file that cannot carry its manifest is not changed.

    Args:
        name: the file's, whose ending says of which kind it is; empty where there is none.
        sidecar: the manifest that stands beside the file now.

    Raises:
        ProvenanceError: the key cannot sign, a manifest that is there cannot be kept, or no time
            stamp can be had.
    """
    kind = kind_of(name, data)
    stamp = partial(request_stamp, url=order.tsa) if order.tsa else None
    signing = new_signing(datetime.datetime.now(datetime.UTC))
    earlier = _earlier(name, kind, data, sidecar)
    task = Task(name, kind, data, order, signer, signing, earlier, stamp)
    wanted = kind in PLACES if order.inside is None else order.inside
    cited = tuple(each.title for each in task.earlier)
    if not wanted:
        return Signed(data, _sidecar(task), "", cited)
    try:
        return Signed(_embedded(task), None, "", cited)
    except ContainerFault as fault:
        return Signed(data, _sidecar(task), str(fault), cited)


def _embedded(task: Task) -> bytes:
    """The file with its manifest in it; one that it had is taken out, and kept in the new one.

    Raises:
        ContainerFault: it cannot carry one.
    """
    embed = {Kind.TEXT: _text, **PLACES}.get(task.kind)
    if embed is None:
        raise ContainerFault(
            "a manifest can stand in plain text (UTF-8), HTML, Word files and PDF, not in this"
        )
    return embed(task)


def _text(task: Task) -> bytes:
    text = task.data.decode()
    text = stripped(text, find_wrapper(text))
    order = task.order
    signed = sign_text(
        text,
        order.facts,
        task.signer,
        task.signing,
        title=order.title,
        ingredients=task.earlier,
        timestamp=task.stamp,
    )
    return signed.encode()


def _page(task: Task) -> bytes:
    bare = html.remove(task.data)
    return html.embed(bare, partial(_made, task, sketch(task.kind, bare)))


def _word(task: Task) -> bytes:
    bare = word.remove(task.data)
    return word.embed(bare, partial(_made, task, sketch(task.kind, bare)))


def _pdf(task: Task) -> bytes:
    return pdf.embed(task.data, _definition(task))


PLACES: dict[Kind, Callable[[Task], bytes]] = {
    Kind.PAGE: _page,
    Kind.WORD: _word,
    Kind.PDF: _pdf,
}


def _made(task: Task, likeness: bytes, binding_of: Callable[[int], Binding]) -> bytes:
    """A manifest that names its own size: signed once without a time stamp to learn it."""
    stamp_bytes = len(task.stamp(b"length")) if task.stamp else 0
    draft = sign_claim(
        binding_of(ANY_SIZE),
        task.order.facts,
        task.signer,
        task.signing,
        task.order.title,
        media_type(task.kind, task.name),
        task.earlier,
        likeness,
    )
    size = size_of(draft, stamp_bytes)
    return _store(task, binding_of(size), likeness, size)


def _sidecar(task: Task) -> bytes:
    """A manifest beside the file, over every byte of it."""
    binding = DataHash(hashlib.sha256(task.data).digest())
    return _store(task, binding, sketch(task.kind, task.data))


def _store(task: Task, binding: Binding, likeness: bytes, size: int | None = None) -> bytes:
    return sign_asset(
        binding,
        task.order.facts,
        task.signer,
        task.signing,
        title=task.order.title,
        media_type=media_type(task.kind, task.name),
        ingredients=task.earlier,
        sketch=likeness,
        timestamp=task.stamp,
        size=size,
    )


def _earlier(name: str, kind: Kind, data: bytes, sidecar: bytes | None) -> tuple[Ingredient, ...]:
    """The manifests that a file carries, or that stand beside it; the one that speaks of the file
    as it is now, or the one beside it, is its parent.

    Raises:
        ProvenanceError: there is one that cannot be read, or more than one: nothing is taken out
            that is not kept.
    """
    held = [beside(kind, data, sidecar)] if sidecar is not None else []
    try:
        inner = inside(kind, data)
    except ManifestFault as fault:
        raise ProvenanceError(
            f"{name or 'the input'}: what is there of a signed manifest cannot be kept: {fault};"
            " sign a copy that has one whole manifest, or none"
        ) from None
    held += [inner] if inner else []
    cited = [_ingredient(name, each) for each in held]
    if len(cited) > 1 and cited[1].store in cited[0].store:
        cited.pop()
    parent = [replace(each, relation="parentOf") for each in cited[:1]]
    return (*parent, *cited[1:])


def _ingredient(name: str, held: Held) -> Ingredient:
    verdict = _checked(held)
    return Ingredient(
        held.store,
        name or "the input",
        verdict.codes,
        changed=verdict.state == "invalid",
    )


def _checked(held: Held) -> SignatureVerdict:
    return verify_store(held.store, held.asset, Trust(), datetime.datetime.now(datetime.UTC))


def _definition(task: Task) -> pdf.Definition:
    """The same manifest for c2pa-python, which takes JSON.

    Raises:
        ContainerFault: what stands beside the file cannot be handed to it.
    """
    if any(each.store not in task.data for each in task.earlier):
        raise ContainerFault("the manifest beside it can only be kept beside it")
    order, parent = task.order, next(iter(task.earlier), None)
    key: Any = load_pem_private_key(task.signer.private_key, None)
    return pdf.Definition(
        pdf.manifest(order.facts, task.signing, order.title, parent, stamped=bool(order.tsa)),
        parent.title if parent else None,
        facts_of(task.signer.chain).algorithm,
        task.signer.chain,
        cose.signing_function(key),
        order.tsa,
    )
