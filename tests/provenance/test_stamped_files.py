"""Files signed with an authority's time: it counts for who trusts the authority, and nothing is
signed where it is not to be had.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterator
from typing import Any

import encypher_c2pa
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from staged.errors import ProvenanceError
from staged.keys.certificates import private_pem
from staged.provenance.manifest.facts import Signer
from staged.provenance.manifest.trust import fingerprint, trust_from
from staged.provenance.reading import signature_of
from staged.provenance.sign import Order, sign
from tests.provenance.authority import Authority
from tests.provenance.signing import FACTS, TYPES, certificate, made, owner

ME = owner()
KINDS = ("txt", "html", "docx", "pdf")
LATER = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=400)


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    with Authority() as running:
        yield running


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_trusted_time_outlives_the_certificate(
    kind: str, inside: bool, authority: Authority
) -> None:
    name = f"a.{kind}"
    signed = sign(name, made(kind, 1), ME.signer, Order(FACTS, inside=inside, tsa=authority.url))
    assert (signed.sidecar is None, signed.why_beside) == (inside, "")

    def verdict(**how: Any) -> Any:
        return signature_of(name, signed.data, signed.sidecar, trust=ME.trust, **how)

    trusted = verdict(authorities=[authority.root])
    assert (trusted.state, trusted.stamped_by, trusted.facts) == ("valid", authority.name, FACTS)
    assert verdict(authorities=[authority.root], now=LATER).state == "valid"
    untrusted = verdict()
    assert (untrusted.state, untrusted.timestamped) == ("valid", False)
    assert verdict(now=LATER).state == "expired"
    both = trust_from(ME.anchors + authority.root_pem)
    assert signature_of(name, signed.data, signed.sidecar, trust=both, now=LATER).state == "valid"
    report = judged(signed.data, signed.sidecar, kind, authority)
    assert "timeStamp.trusted" in report


def test_an_authority_that_was_revoked_tells_no_time(authority: Authority) -> None:
    signed = sign("a.txt", made("txt", 1), ME.signer, Order(FACTS, tsa=authority.url))
    for gone in (authority.leaf, authority.root):
        trust = trust_from(ME.anchors + authority.root_pem, {fingerprint(gone): "stolen"})
        verdict = signature_of("a.txt", signed.data, signed.sidecar, trust=trust)
        assert (verdict.state, verdict.timestamped) == ("valid", False)
        late = signature_of("a.txt", signed.data, signed.sidecar, trust=trust, now=LATER)
        assert late.state == "expired"


def judged(data: bytes, sidecar: bytes | None, kind: str, authority: Authority) -> list[str]:
    """What encypher-c2pa finds right, of a file or of a manifest beside it."""
    if kind == "docx" and sidecar is not None:  # in a package it wants a hash of each member
        kind = "pdf"
    report = encypher_c2pa.verify(
        data,
        TYPES["md" if kind == "txt" and sidecar is not None else kind],
        manifest_store=sidecar,
        trust_pem=ME.anchors.decode(),
        tsa_trust_pem=authority.root_pem.decode(),
        no_default_trust=True,
        online=False,
    )
    assert report["validation_state"] == "Trusted", report["validation_results"]["failure"]
    return [each["code"] for each in report["validation_results"]["success"]]


def test_without_the_extra_a_stamp_says_nothing(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = sign("a.txt", made("txt", 1), ME.signer, Order(FACTS, tsa=authority.url))
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    verdict = signature_of(
        "a.txt", signed.data, signed.sidecar, trust=ME.trust, authorities=[authority.root]
    )
    assert (verdict.state, verdict.timestamped) == ("valid", False)
    with pytest.raises(ProvenanceError, match=r"pip install 'staged\[provenance\]'"):
        sign("a.txt", made("txt", 1), ME.signer, Order(FACTS, tsa=authority.url))


@pytest.mark.parametrize("kind", KINDS)
def test_no_time_no_signature(
    kind: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority, "refuses", "not today")
    with pytest.raises(ProvenanceError, match="refused: not today"):
        sign(f"a.{kind}", made(kind, 1), ME.signer, Order(FACTS, inside=True, tsa=authority.url))


def test_a_stamp_of_before_the_certificate_began(authority: Authority) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    leaf = certificate("Short", key, "Short", key, signs=True, days=(-1, 30)).public_bytes(
        Encoding.PEM
    )
    authority.time = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=9)
    try:
        order = Order(FACTS, tsa=authority.url)
        signed = sign("a.txt", made("txt", 1), Signer(private_pem(key), leaf), order)
    finally:
        authority.time = None
    verdict = signature_of(
        "a.txt",
        signed.data,
        signed.sidecar,
        trust=trust_from(leaf),
        authorities=[authority.root],
    )
    assert (verdict.state, verdict.reason) == ("invalid", "not yet valid")
