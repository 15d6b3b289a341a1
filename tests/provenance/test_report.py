"""A signed report: what it says, and that no change of it goes unseen."""

from __future__ import annotations

import base64
import datetime
import json
import random
from typing import Any

import pytest

from staged.detectors.contract import Verdict
from staged.keys.ring import Key, new_key, revoke
from staged.provenance.examination import Examination, WatermarkFinding
from staged.provenance.manifest.facts import Signer
from staged.provenance.manifest.plain_text import verify_text
from staged.provenance.manifest.trust import Trust, fingerprints, trust_from
from staged.provenance.report import check_report, is_report, report_of, sign_report
from tests.provenance.signers import Identity, identity

# later than the certificates that tests make, however long they wait for their turn
NOW = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=2)
TEXT = "A text about the sea."


@pytest.fixture(autouse=True)
def key(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Key:
    monkeypatch.setenv("STAGED_KEYS", str(tmp_path / "keys"))
    return new_key("alpha")


def examination() -> Examination:
    mark = WatermarkFinding(True, 1e-9, 80, "gumbel", "alpha", "the mark stands", "mini-s", 140.5)
    verdict = Verdict(
        id="a",
        score=1.5,
        p_value=0.004,
        verdict="machine",
        detector="evidence",
        reason="It is — “like” them.",
        fpr=0.01,
        words=90,
        n_human=800,
        changes=(),
        normalized=TEXT,
    )
    return Examination("a", "ab" * 32, 0.01, verify_text(TEXT, Trust(), NOW), mark, verdict)


@pytest.fixture
def signed(key: Key) -> bytes:
    return sign_report(report_of(examination(), NOW), Signer(key.signing_pem(), key.certificates()))


def test_it_says_what_was_found_by_what_and_how_often_that_is_wrong(
    key: Key, signed: bytes
) -> None:
    verdict = check_report(signed, trust_from(key.certificates()), NOW)
    assert verdict.state == "valid"
    assert verdict.signer == "staged key alpha"
    assert verdict.is_of("ab" * 32)
    assert not verdict.is_of("cd" * 32)
    report = verdict.report
    assert report is not None
    assert (report["conclusion"], report["technique"]) == ("watermarked", "watermark")
    assert report["watermark"]["false_positive_rate"] == 0.01
    assert (report["content"]["detector"], report["content"]["fpr"]) == ("evidence", 0.01)
    assert report["time"] == NOW.isoformat(timespec="seconds")
    assert TEXT not in signed.decode()
    assert is_report(signed)


def test_the_same_report_has_the_same_bytes_whatever_its_layout(key: Key, signed: bytes) -> None:
    signer = Signer(key.signing_pem(), key.certificates())
    assert sign_report(report_of(examination(), NOW), signer) == signed
    again = json.dumps(json.loads(signed), sort_keys=True).encode()  # escapes, one line
    assert check_report(again, trust_from(key.certificates()), NOW).state == "valid"


def test_who_signed_is_trusted_by_certificate_alone(key: Key, signed: bytes) -> None:
    assert check_report(signed, Trust(), NOW).state == "untrusted"
    trust = trust_from(key.certificates())
    print_of = check_report(signed, trust, NOW).fingerprint
    assert print_of is not None
    gone = trust_from(key.certificates(), {print_of: "lost"})
    assert check_report(signed, gone, NOW).state == "revoked"
    late = NOW + datetime.timedelta(days=5000)
    assert check_report(signed, trust, late).state == "expired"
    revoke("alpha")  # what was signed before stays readable
    assert check_report(signed, trust, NOW).state == "valid"


def test_an_authority_that_was_revoked_vouches_for_no_report() -> None:
    root = identity("Root", kind="ES256", authority=True)
    issued = identity("Issued", issuer=root)
    alone = Identity(issued.key, issued.chain[:1])  # its chain leaves the authority out
    signed = sign_report(report_of(examination(), NOW), alone.signer)
    assert check_report(signed, trust_from(root.pem), NOW).state == "valid"
    revoked = trust_from(root.pem, {fingerprints(root.pem)[0]: ""})
    assert check_report(signed, revoked, NOW).state == "revoked"


def test_a_signed_report_that_does_not_say_what_is_read_of_it(key: Key) -> None:
    signer, report = Signer(key.signing_pem(), key.certificates()), report_of(examination(), NOW)
    for name in ("time", "conclusion", "sentence"):
        signed = sign_report(report | {name: None}, signer)
        assert check_report(signed, trust_from(key.certificates()), NOW).state == "invalid"
    signed = sign_report(report | {"text": {}}, signer)
    assert check_report(signed, trust_from(key.certificates()), NOW).state == "invalid"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("conclusion",), "no evidence"),
        (("watermark", "p_value"), 1e-8),
        (("text", "sha256"), "cd" * 32),
        (("content", "detector"), "another"),
        (("new",), 1),
    ],
)
def test_a_changed_value_is_seen(
    key: Key, signed: bytes, path: tuple[str, ...], value: object
) -> None:
    changed = json.loads(signed)
    place = changed["report"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    verdict = check_report(json.dumps(changed).encode(), trust_from(key.certificates()), NOW)
    assert (verdict.state, verdict.signer, verdict.report) == ("invalid", None, None)


def test_no_change_of_its_bytes_says_something_else(key: Key, signed: bytes) -> None:
    """A byte that changes nothing that is said, such as white space, may pass."""
    stream, trust = random.Random(4), trust_from(key.certificates())
    original = json.loads(signed)["report"]
    for _ in range(400):
        data = bytearray(signed)
        for _ in range(stream.randint(1, 3)):
            match stream.randrange(3):
                case 0:
                    data[stream.randrange(len(data))] = stream.randrange(256)
                case 1:
                    del data[stream.randrange(len(data))]
                case _:
                    data.insert(stream.randrange(len(data)), stream.randrange(256))
        verdict = check_report(bytes(data), trust, NOW)
        assert verdict.state == "invalid" or verdict.report == original


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"report": {}, "signature": ""}',
        b'{"report": {"format": "staged report 2"}, "signature": ""}',
        b'{"report": {"format": "staged report 1", "text": {}}, "signature": "AA=="}',
        b'{"report": {"format": "staged report 1", "text": "x"}, "signature": "AA=="}',
        b'{"report": {"format": "staged report 1", "text": {}, "x": "\\ud800"}, "signature": ""}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_report(data: bytes) -> None:
    verdict = check_report(data, Trust(), NOW)
    assert (verdict.state, verdict.report) == ("invalid", None)
    is_report(data)


def test_a_name_twice_is_no_report(key: Key, signed: bytes) -> None:
    twice = signed.replace(b'"conclusion"', b'"conclusion": "signed", "conclusion"', 1)
    assert check_report(twice, trust_from(key.certificates()), NOW).state == "invalid"


def test_another_report_under_the_same_signature_is_seen(key: Key, signed: bytes) -> None:
    other = report_of(examination(), NOW) | {"conclusion": "signed"}
    mixed = {"report": other, "signature": json.loads(signed)["signature"]}
    assert base64.b64decode(mixed["signature"])
    verdict = check_report(json.dumps(mixed).encode(), trust_from(key.certificates()), NOW)
    assert verdict.state == "invalid"
