"""The keys of a user: one folder a key, made whole, retired or revoked, never removed.

    key.json          what everybody may know: state, purposes, what it was used with
    watermark.key     a 64-bit number that decides marks, or a stranger's scheme with its settings
    signing.pem       the private key that signs claims, PKCS#8
    certificate.pem   its public chain, leaf first

The second and the third are readable by their owner only, and are never printed, logged or put into
a manifest. A retired key marks and signs nothing new; what it marked and signed still verifies. A
revoked key was in other hands: what carries it is found with a warning.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import replace

from staged.errors import ProvenanceError
from staged.keys.certificates import facts_of
from staged.keys.folders import ID, build, free_id, is_key, keys_folder, next_id, place_of
from staged.keys.key import (
    ACTIVE,
    PURPOSES,
    RETIRED,
    REVOKED,
    Key,
    Use,
    WatermarkSecret,
    read_key,
    write_key,
)
from staged.keys.material import Origin, files_of
from staged.keys.secret_files import held
from staged.settings import nearest
from staged.storage.writing import disk_errors

__all__ = [
    "ACTIVE",
    "PURPOSES",
    "RETIRED",
    "REVOKED",
    "Key",
    "Origin",
    "Use",
    "WatermarkSecret",
    "all_keys",
    "keys_folder",
    "new_key",
    "open_key",
    "record_use",
    "revoke",
    "rotate",
    "usable",
]

FIRST = "key-1"


def all_keys() -> list[Key]:
    """Every key, by its id.

    Raises:
        ArtifactError, ProvenanceError: one is damaged, or the folder cannot be read.
    """
    folder = keys_folder()
    try:
        places = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ProvenanceError(f"{folder}: cannot be read: {error.strerror}") from None
    return [read_key(place) for place in places if ID.fullmatch(place.name) and is_key(place)]


def open_key(key_id: str) -> Key:
    """A key by its id, whatever its state.

    Raises:
        ProvenanceError: no id, or no such key; the sentence names the nearest.
        ArtifactError: it is damaged.
    """
    place = place_of(key_id)
    if not is_key(place):
        known = [key.id for key in all_keys()]
        advice = nearest(key_id, known) if known else "make it with `staged keys new`"
        raise ProvenanceError(f"no key {key_id!r} in {place.parent}; {advice}")
    return read_key(place)


def new_key(
    key_id: str = "", *, purposes: Sequence[str] = PURPOSES, origin: Origin | None = None
) -> Key:
    """Make a key; whole or not at all, and never over another.

    Args:
        key_id: letters, digits, `.`, `_` and `-`; the next free `key-1`, `key-2`, … when empty.
        purposes: `watermark`, `signing`, or both.
        origin: where its secrets come from; by default they are drawn, and its certificate is
            self-signed.

    Raises:
        ProvenanceError: no id, one that is taken, no purpose, or what was brought does not fit.
        ArtifactError: the folder cannot be written.
    """
    if not purposes or set(purposes) - set(PURPOSES):
        raise ProvenanceError(f"a key is for {' or '.join(PURPOSES)}, or for both")
    key_id = key_id or free_id(FIRST)
    place, now = place_of(key_id), _now()
    key = Key(key_id, now, ACTIVE, now, "", "", tuple(purposes), (), place)
    build(key, files_of(key_id, purposes, origin or Origin()))
    return key


def rotate(key_id: str, new_id: str = "", *, origin: Origin | None = None) -> tuple[Key, Key]:
    """Make a key's successor, for the same purposes, and retire it; a revoked one stays revoked.

    Returns:
        (the old key, the new one).

    Raises:
        ProvenanceError: it has a successor already, the new id is taken, or its secrets were
            brought and none are brought now.
        ArtifactError: the folder cannot be written.
    """
    old = open_key(key_id)
    if old.successor:
        raise ProvenanceError(
            f"key {old.id!r} was rotated already; its successor is {old.successor!r}"
        )
    given = _successors_origin(old, origin or Origin())
    new = new_key(new_id or free_id(next_id(old.id)), purposes=old.purposes, origin=given)
    state = old.state if old.state == REVOKED else RETIRED
    return _changed(old, state=state, successor=new.id), new


def revoke(key_id: str, reason: str = "") -> Key:
    """Mark a key as no longer its owner's alone.

    Raises:
        ProvenanceError: no such key, or it was revoked already.
    """
    key = open_key(key_id)
    if key.state == REVOKED:
        raise ProvenanceError(f"key {key.id!r} was revoked already, on {key.changed[:10]}")
    return _changed(key, state=REVOKED, reason=reason)


def record_use(key: Key, use: Use) -> Key:
    """Remember what a key has marked with, each once; several processes may do so at once.

    Raises:
        ArtifactError: the key's folder cannot be written.
    """
    use = use.as_read()
    now = read_key(key.place)
    if use in now.uses:
        return now
    return _update(key, lambda now: replace(now, uses=_joined(now.uses, use)))


def _joined(uses: tuple[Use, ...], use: Use) -> tuple[Use, ...]:
    return uses if use in uses else (*uses, use)


def usable(key: Key, purpose: str) -> Key:
    """The key, where it may mark (`watermark`) or sign (`signing`) something new.

    Raises:
        ProvenanceError: it is retired or revoked, is not for this purpose, or its certificate is
            not valid today.
    """
    if key.state != ACTIVE:
        raise ProvenanceError(
            f"key {key.id!r} is {key.state}: it marks and signs nothing new; {_instead(key)}"
        )
    if purpose not in key.purposes:
        raise ProvenanceError(
            f"key {key.id!r} is not made for {purpose}; make one with `staged keys new --for"
            f" {purpose}`"
        )
    if purpose == "signing":
        _check_certificate(key)
    return key


def _instead(key: Key) -> str:
    if key.successor:
        return f"take its successor, {key.successor!r}"
    return f"make its successor with `staged keys rotate {key.id}`"


def _check_certificate(key: Key) -> None:
    facts = facts_of(key.certificates())
    standing = facts.standing(datetime.datetime.now(datetime.UTC))
    if standing in ("expired", "not yet valid"):
        raise ProvenanceError(
            f"key {key.id!r}: its certificate is {standing} (it holds {facts.begins:%Y-%m-%d} to"
            f" {facts.ends:%Y-%m-%d}); make a successor with `staged keys rotate {key.id}`"
        )


def _successors_origin(old: Key, given: Origin) -> Origin:
    """With the signer's name of the old key.

    Raises:
        ProvenanceError: the old key's secrets were brought, and none are brought now.
    """
    if "watermark" in old.purposes and old.watermark_secret().scheme and not given.scheme:
        raise ProvenanceError(
            f"key {old.id!r} is a stranger's mark that was imported, which only its maker can"
            " change; import the new one with `staged keys new --import FILE`"
        )
    if "signing" not in old.purposes or given.chain:
        return given
    facts = facts_of(old.certificates())
    if not facts.is_self_signed:
        raise ProvenanceError(
            f"the certificate of key {old.id!r} was issued by {facts.issuer}; give the new one with"
            " --certificate and --private-key"
        )
    own = facts.subject == f"staged key {old.id}"
    return replace(given, name=given.name or ("" if own else facts.subject))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _changed(key: Key, *, state: str, successor: str = "", reason: str = "") -> Key:
    """In another state from now on, or with a successor in the same."""
    return _update(
        key,
        lambda now: replace(
            now,
            state=state,
            changed=now.changed if state == now.state else _now(),
            successor=successor or now.successor,
            reason=reason or now.reason,
        ),
    )


def _update(key: Key, change: Callable[[Key], Key]) -> Key:
    """Change what `key.json` says now, while nobody else does."""
    with disk_errors(key.place), held(key.place):
        new = change(read_key(key.place))
        write_key(new, key.place)
        return new
