"""A key is made whole, changes its state, and tells its secrets to nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from staged.errors import ArtifactError, PlanError, ProvenanceError
from staged.keys import folders, ring
from staged.keys.certificates import facts_of
from staged.keys.key import WatermarkSecret
from staged.keys.ring import (
    Key,
    Origin,
    Use,
    all_keys,
    keys_folder,
    new_key,
    open_key,
    record_use,
    revoke,
    rotate,
    usable,
)
from tests.keys.chains import chain


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_where_keys_stand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keys: Path) -> None:
    assert keys_folder() == keys
    monkeypatch.delenv("STAGED_KEYS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert keys_folder() == tmp_path / "data" / "staged" / "keys"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert keys_folder() == tmp_path / ".local" / "share" / "staged" / "keys"
    assert all_keys() == []


def test_a_new_key_is_its_owners_alone(keys: Path) -> None:
    before = os.umask(0)
    try:
        key = new_key("alpha")
    finally:
        os.umask(before)
    assert {path.name: mode(path) for path in key.place.iterdir()} == {
        "key.json": 0o666,  # by the umask of this test; it holds no secret
        "watermark.key": 0o600,
        "signing.pem": 0o600,
        "certificate.pem": 0o644,
    }
    assert (mode(keys), mode(key.place)) == (0o700, 0o700)
    assert [path.name for path in keys.iterdir()] == ["alpha"]
    assert open_key("alpha") == key
    assert all_keys() == [key]


def test_keys_differ() -> None:
    made = [new_key() for _ in range(20)]
    assert [key.id for key in made] == [f"key-{i}" for i in range(1, 21)]
    numbers = {key.watermark_secret().secret for key in made}
    assert len(numbers) == len({key.signing_pem() for key in made}) == 20
    assert all(isinstance(number, int) and 0 <= number < 2**64 for number in numbers)
    assert max(number or 0 for number in numbers) > 2**58  # not of a smaller range


def test_a_key_for_one_purpose_has_nothing_of_the_other() -> None:
    marks, signs = new_key("m", purposes=("watermark",)), new_key("s", purposes=("signing",))
    assert sorted(path.name for path in marks.place.iterdir()) == ["key.json", "watermark.key"]
    assert not (signs.place / "watermark.key").exists()
    for call in (
        marks.signing_pem,
        marks.certificates,
        lambda: usable(marks, "signing"),
        signs.watermark_secret,
        lambda: usable(signs, "watermark"),
    ):
        with pytest.raises(ProvenanceError, match="is not made for"):
            call()
    with pytest.raises(ProvenanceError, match="a key is for watermark or signing"):
        new_key("x", purposes=("painting",))


@pytest.mark.parametrize(
    "key_id", ["../x", "a/b", ".hidden", "-x", "é", "a b", "x" * 49, "..", ".", "a\n", "/etc"]
)
def test_an_id_is_no_path(key_id: str, tmp_path: Path) -> None:
    for call in (new_key, open_key, revoke, rotate):
        with pytest.raises(ProvenanceError, match="is no key's id"):
            call(key_id)
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_never_overwritten(keys: Path) -> None:
    key = new_key("alpha")
    secret, files = key.watermark_secret().secret, list(keys.iterdir())
    (keys / "file").write_text("mine")
    for call in (
        lambda: new_key("alpha"),
        lambda: rotate("alpha", "alpha"),
        lambda: new_key("file"),
    ):
        with pytest.raises(ProvenanceError, match="is there already"):
            call()
    assert open_key("alpha").watermark_secret().secret == secret
    assert (keys / "file").read_text() == "mine"
    assert [path for path in keys.iterdir() if path.name != "file"] == files
    assert open_key("alpha").state == "active"


def test_an_unknown_key_names_the_nearest(keys: Path) -> None:
    with pytest.raises(ProvenanceError, match="make it with `staged keys new`"):
        open_key("alpha")
    new_key("alpha")
    with pytest.raises(ProvenanceError, match="did you mean 'alpha'"):
        open_key("alpa")
    (keys / "notes").mkdir()  # a folder that is no key
    assert [key.id for key in all_keys()] == ["alpha"]


def test_a_key_that_could_not_be_made_whole_is_absent(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "write_key", full)
    with pytest.raises(ArtifactError, match="No space left"):
        new_key("alpha")
    assert list(keys.iterdir()) == []


def test_rotating_retires_and_names_the_successor() -> None:
    first = new_key("alpha", origin=Origin("Example Press"))
    old, new = rotate("alpha")
    assert (old.state, old.successor, new.id, new.state) == (
        "retired",
        "alpha-2",
        "alpha-2",
        "active",
    )
    assert new.watermark_secret().secret != first.watermark_secret().secret
    assert new.signing_pem() != first.signing_pem()
    assert facts_of(new.certificates()).subject == "Example Press"
    assert open_key("alpha").watermark_secret().secret == first.watermark_secret().secret
    with pytest.raises(ProvenanceError, match="its successor is 'alpha-2'"):
        rotate("alpha")
    assert rotate("alpha-2")[1].id == "alpha-3"
    new_key("beta-2")
    new_key("beta", purposes=("signing",))
    third = rotate("beta")[1]
    assert (third.id, third.purposes) == ("beta-3", ("signing",))
    assert facts_of(third.certificates()).subject == "staged key beta-3"
    assert rotate("beta-3", "gamma")[1].id == "gamma"


def test_what_is_retired_or_revoked_marks_nothing_new() -> None:
    key = new_key("alpha")
    assert usable(key, "watermark") == usable(key, "signing") == key
    old, _ = rotate("alpha")
    with pytest.raises(ProvenanceError, match=r"'alpha' is retired.*its successor, 'alpha-2'"):
        usable(old, "watermark")
    revoked = revoke("alpha-2", "laptop lost")
    assert (revoked.state, revoked.reason) == ("revoked", "laptop lost")
    with pytest.raises(ProvenanceError, match=r"is revoked.*staged keys rotate alpha-2"):
        usable(revoked, "signing")
    with pytest.raises(ProvenanceError, match="revoked already"):
        revoke("alpha-2")
    assert rotate("alpha-2")[0].state == "revoked"
    with pytest.raises(ProvenanceError, match="'alpha-3'"):
        usable(open_key("alpha-2"), "watermark")
    assert open_key("alpha-2").reason == "laptop lost"
    assert revoke("alpha").state == "revoked"


def test_an_ended_certificate_signs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key("alpha")
    facts = facts_of(key.certificates())
    monkeypatch.setattr(ring, "facts_of", lambda _: replace(facts, ends=facts.begins))
    with pytest.raises(ProvenanceError, match=r"its certificate is expired.*rotate alpha"):
        usable(key, "signing")
    assert usable(key, "watermark") == key


@pytest.mark.parametrize("name", ["watermark.key", "signing.pem"])
def test_a_secret_that_others_can_read_is_refused(name: str) -> None:
    key = new_key("alpha")
    for wide in (0o640, 0o604, 0o620, 0o644):
        (key.place / name).chmod(wide)
        with pytest.raises(ProvenanceError, match=rf"mode 0{wide:o}\); type `chmod 600 .*{name}`"):
            secret_of(key, name)
    (key.place / name).chmod(0o400)
    assert secret_of(key, name)
    (key.place / name).unlink()
    with pytest.raises(ProvenanceError, match="No such file"):
        secret_of(key, name)


def secret_of(key: Key, name: str) -> object:
    return key.signing_pem() if name == "signing.pem" else key.watermark_secret()


def test_secrets_are_shown_nowhere() -> None:
    private, certificates = chain()
    origin = Origin("", 9, private, b"".join(certificates), "kgw", {"hashing_key": 987654321})
    key = new_key("alpha", origin=origin)
    assert key.watermark_secret() == WatermarkSecret(None, "kgw", {"hashing_key": 987654321})
    drawn = new_key("beta").watermark_secret()
    shown = f"{key!r} {origin!r} {key.watermark_secret()!r} {drawn!r} {key} {all_keys()}"
    assert "987654321" not in shown
    assert str(drawn.secret) not in shown
    assert not [line for line in private.decode().splitlines()[1:-1] if line in shown]


@pytest.mark.parametrize(
    "damage",
    [
        "{number",
        '{"secret": "number"}',
        '{"secret": [number]}',
        '{"other": number}',
        '{"secret": -number}',
        '{"secret": number, "scheme": "kgw"}',
        "\udce4number",
    ],
)
def test_a_damaged_secret_is_not_quoted(damage: str) -> None:
    key = new_key("alpha")
    number = str(key.watermark_secret().secret)
    data = damage.replace("number", number).encode(errors="surrogateescape")
    (key.place / "watermark.key").write_bytes(data)
    with pytest.raises(
        (ProvenanceError, ArtifactError), match=r"watermark.key: .*damaged"
    ) as refusal:
        key.watermark_secret()
    assert number not in str(refusal.value)
    assert number not in "".join(traceback.format_exception(refusal.value))


def test_a_damaged_or_renamed_key_is_one_sentence(keys: Path) -> None:
    key = new_key("alpha")
    key.place.rename(keys / "beta")
    with pytest.raises(ProvenanceError, match="holds key 'alpha'; give the folder that name"):
        open_key("beta")
    (keys / "beta").rename(key.place)
    record = json.loads((key.place / "key.json").read_text())
    faults: tuple[dict[str, Any], ...] = (
        {"state": "lost"},
        {"purposes": []},
        {"uses": [{"scheme": "x"}]},
        {"id": 3},
    )
    for wrong in faults:
        (key.place / "key.json").write_text(json.dumps(record | wrong))
        with pytest.raises(ArtifactError, match=r"key.json: .*bring the file back"):
            open_key("alpha")
    (key.place / "key.json").write_text(json.dumps(record | {"of a newer version": 1}))
    assert open_key("alpha") == key


def test_a_use_is_remembered_once() -> None:
    key = new_key("alpha")
    use = Use("gumbel", "mini-s", 5000, {"width": 4, "layers": (1, 2)})
    for _ in range(2):
        key = record_use(key, use)
    assert key == open_key("alpha")
    assert key.uses == (Use("gumbel", "mini-s", 5000, {"width": 4, "layers": [1, 2]}),)
    key = record_use(replace(key, uses=()), replace(use, model="124M"))  # a key read before
    assert [each.model for each in key.uses] == ["mini-s", "124M"]
    revoke("alpha")
    assert [each.model for each in open_key("alpha").uses] == ["mini-s", "124M"]


def test_uses_at_once_are_all_remembered(keys: Path) -> None:
    key = new_key("alpha")
    code = (
        "import sys; from staged.keys.ring import Use, open_key, record_use\n"
        "for i in range(15): record_use(open_key('alpha'), Use('sbw', f'{sys.argv[1]}-{i}', 1))"
    )
    others = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "ab"]
    for i in range(15):
        record_use(key, Use("sbw", f"c-{i}", 1))
    assert [process.wait() for process in others] == [0, 0]
    models = {use.model for use in open_key("alpha").uses}
    assert models == {f"{name}-{i}" for name in "abc" for i in range(15)}
    assert len(open_key("alpha").uses) == 45
    assert sorted(path.name for path in key.place.iterdir() if path.name.startswith(".")) == []


def test_of_many_makers_of_one_id_one_succeeds(keys: Path) -> None:
    def make(_: int) -> int | None:
        try:
            return new_key("alpha").watermark_secret().secret
        except ProvenanceError as refusal:
            assert "is there already" in str(refusal)  # noqa: PT017
            return None

    with ThreadPoolExecutor(8) as pool:
        made = [secret for secret in pool.map(make, range(16)) if secret is not None]
    assert made == [open_key("alpha").watermark_secret().secret]
    assert [path.name for path in keys.iterdir()] == ["alpha"]


def test_what_is_brought_is_kept_and_rotated_by_its_owner() -> None:
    private, certificates = chain("ES256")
    pem = b"".join(certificates)
    key = new_key("press", origin=Origin(private=private, chain=pem))
    assert (key.signing_pem(), key.certificates()) == (private, pem)
    assert isinstance(key.watermark_secret().secret, int)
    with pytest.raises(ProvenanceError, match=r"issued by Middle; give the new one with --cert"):
        rotate("press")
    other, renewed = chain("ES384")
    _, new = rotate("press", origin=Origin(private=other, chain=b"".join(renewed)))
    assert new.signing_pem() == other
    imported = new_key(
        "vllm", purposes=("watermark",), origin=Origin(scheme="gumbel", settings={"key": 42})
    )
    assert imported.watermark_secret().settings == {"key": 42}
    with pytest.raises(ProvenanceError, match="a stranger's mark that was imported"):
        rotate("vllm")
    for purposes, origin, fault in (
        (("signing",), Origin(scheme="gumbel"), "--import is of a key that marks"),
        (
            ("watermark",),
            Origin(private=private, chain=pem),
            "--certificate is of a key that signs",
        ),
        (("signing",), Origin(private=private), "give both, or neither"),
        (("signing",), Origin(chain=pem), "give both, or neither"),
    ):
        with pytest.raises(ProvenanceError, match=fault):
            new_key("wrong", purposes=purposes, origin=origin)


def test_a_secret_is_a_number_or_a_scheme() -> None:
    wrong: dict[str, Any]
    for wrong in ({}, {"secret": 2**64}, {"secret": -1}, {"secret": 1, "scheme": "kgw"}):
        with pytest.raises(PlanError, match="64 bits"):
            WatermarkSecret(**wrong)
