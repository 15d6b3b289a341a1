"""What may have marked a text: the keys of the ring, in every scheme and tokenizer that they have
marked with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from staged.errors import CheckpointError, ProvenanceError
from staged.keys.ring import REVOKED, Key, Use, all_keys, open_key
from staged.model.causal import TextTokenizer, load_shape, load_tokenizer
from staged.notes import note
from staged.watermarks.contract import Watermark
from staged.watermarks.evidence import Candidate
from staged.watermarks.schemes import make_watermark


def candidates_of(keys: Sequence[str] = (), *, model: str = "") -> tuple[Candidate, ...]:
    """The marks to look for: of retired and revoked keys, too. Models of one vocabulary are read
    once, as each candidate more makes a p-value larger.

    Args:
        keys: ids; by default all keys that mark.
        model: whose tokenizer reads for keys that have marked nothing here, such as a stranger's
            that was imported, or whose model is not here any more; by default these are left out,
            unless they are named.

    Raises:
        ProvenanceError: no such key, one that marks nothing, or a named one of which nothing tells
            with what to look for it.
        CheckpointError: `model` is nowhere, or the model of a named key's use.
    """
    chosen = [open_key(name) for name in keys] or [
        key for key in all_keys() if "watermark" in key.purposes
    ]
    distinct: list[Candidate] = []
    for key in chosen:
        for use in _uses(key, model, is_named=bool(keys)):
            for candidate in _candidate(key, use, model, is_named=bool(keys)):
                if not any(_same(candidate, other) for other in distinct):
                    distinct.append(candidate)
    return tuple(distinct)


def _same(a: Candidate, b: Candidate) -> bool:
    """Whether two candidates look for one key's mark in the same tokens."""
    return (
        (a.key, a.watermark) == (b.key, b.watermark)
        and a.tokenizer.vocabulary() == b.tokenizer.vocabulary()
        and a.tokenizer.before == b.tokenizer.before
    )


def watermark_of_use(key: Key, use: Use) -> Watermark:
    """What a key marked with.

    Raises:
        ProvenanceError: the key marks nothing, or its secret cannot be read.
    """
    secret = key.watermark_secret()
    if secret.scheme:
        return make_watermark(secret.scheme, None, use.vocabulary, secret.settings or {})
    assert secret.secret is not None
    return make_watermark(use.scheme, secret.secret, use.vocabulary, use.settings)


def _uses(key: Key, model: str, *, is_named: bool) -> Sequence[Use]:
    """What to look for a key by: what it has marked with; else the model that was named."""
    if key.uses:
        return key.uses
    scheme = key.watermark_secret().scheme
    if model and scheme:
        return [Use(scheme, model, load_shape(model).n_vocab)]
    if is_named:
        advice = (
            "name the model whose tokenizer reads with --model"
            if scheme
            else "a mark is looked for in the tokens of a model; mark one text with it first:"
            f" staged sample MODEL --watermark gumbel-dual --key {key.id}"
        )
        raise ProvenanceError(f"key {key.id!r} has marked nothing here: {advice}")
    return []


def _candidate(key: Key, use: Use, model: str, *, is_named: bool) -> Iterator[Candidate]:
    try:
        tokenizer, read_by = _reader(use, model)
    except CheckpointError as error:
        if is_named:
            raise
        note(f"key {key.id}: not looked for in {use.model}'s tokens: {error}")
        return
    yield Candidate(key.id, watermark_of_use(key, use), tokenizer, read_by, _warning(key))


def _reader(use: Use, model: str) -> tuple[TextTokenizer, str]:
    """The tokenizer of what a key marked, and whose it is: the model's that was named where the one
    that wrote is not here.
    """
    try:
        return load_tokenizer(use.model), use.model
    except CheckpointError:
        if not model:
            raise
        return load_tokenizer(model), model


def _warning(key: Key) -> str:
    if key.state != REVOKED:
        return ""
    why = f" ({key.reason})" if key.reason else ""
    return f"the key was revoked on {key.changed[:10]}{why}, so others may have marked it"
