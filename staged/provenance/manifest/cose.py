"""COSE_Sign1 (RFC 9052) with a detached payload, as C2PA 2.4 (13.2, 14.5, 10.3.2) narrows it.

What is signed is `["Signature1", protected header, b"", claim]`. The protected header holds the
algorithm and the certificates; the other one, which no signature covers, holds a time stamp of
the signature and padding of zeros, and nothing else that this room would accept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from staged.provenance.manifest.encoding.cbor import COSE_SIGN1, decode_exactly, encode
from staged.provenance.manifest.facts import ManifestFault

ALGORITHM, CRITICAL, CHAIN, CHAIN_BY_NAME = 1, 2, 33, "x5chain"
PAD, PAD_AGAIN, STAMP, OLD_STAMP, REVOCATION = "pad", "pad2", "sigTst2", "sigTst", "rVals"
EDDSA, ES256, ES384, ES512, PS256, PS384, PS512 = -8, -7, -35, -36, -37, -38, -39
DIGESTS: dict[int, hashes.HashAlgorithm] = {
    ES256: hashes.SHA256(),
    ES384: hashes.SHA384(),
    ES512: hashes.SHA512(),
    PS256: hashes.SHA256(),
    PS384: hashes.SHA384(),
    PS512: hashes.SHA512(),
}
MALFORMED, MISMATCH = "general.error", "claimSignature.mismatch"
MOST_CERTIFICATES = 8


@dataclass(frozen=True)
class Sign1:
    """A signature with what stands around it.

    Attributes:
        protected: the header that is signed, in CBOR.
        algorithm: COSE's number.
        certificates: DER, the signer's first.
        stamp: a time-stamp token (DER) of the signature, or None.
        signature: as COSE writes it.
    """

    protected: bytes = field(repr=False)
    algorithm: int
    certificates: tuple[bytes, ...] = field(repr=False)
    stamp: bytes | None = field(repr=False)
    signature: bytes = field(repr=False)


class Padding(NamedTuple):
    """Zeros that fill a signature up to a length that was promised before it was made."""

    first: int = 0
    second: int | None = None


def protected_header(algorithm: int, certificates: tuple[bytes, ...]) -> bytes:
    chain = certificates[0] if len(certificates) == 1 else list(certificates)
    return encode({ALGORITHM: algorithm, CHAIN: chain})


def signed_message(protected: bytes, claim: bytes) -> bytes:
    """What a claim's signature is over."""
    return encode(["Signature1", protected, b"", claim])


def stamped_message(protected: bytes, signature: bytes) -> bytes:
    """What a time stamp of a signature is over (10.3.2.5, `sigTst2`)."""
    return encode(["CounterSignature", protected, b"", encode(signature)])


def write(
    protected: bytes, signature: bytes, stamp: bytes | None = None, padding: Padding | None = None
) -> bytes:
    """A signature in CBOR.

    Args:
        stamp: a TimeStampToken, DER.
        padding: zeros to add; None for no header of them at all.
    """
    around: dict[str, Any] = {}
    if stamp is not None:
        around[STAMP] = {"tstTokens": [{"val": stamp}]}
    if padding is not None:
        around[PAD] = bytes(padding.first)
        if padding.second is not None:
            around[PAD_AGAIN] = bytes(padding.second)
    return encode(cbor2.CBORTag(COSE_SIGN1, [protected, around, None, signature]))


def read(data: bytes) -> Sign1:
    """A claim's signature.

    Raises:
        ManifestFault: no COSE_Sign1 as C2PA wants it, or a header that nobody signed and that is
            neither padding nor a time stamp.
    """
    value = decode_exactly(data, MALFORMED)
    body = value.value if isinstance(value, cbor2.CBORTag) and value.tag == COSE_SIGN1 else None
    match body:
        case [bytes(protected), Mapping() as around, None, bytes(signature)]:
            pass
        case _:
            raise ManifestFault(MALFORMED, "the signature is no tagged COSE_Sign1 without payload")
    header = decode_exactly(protected, MALFORMED)
    if not isinstance(header, dict) or CRITICAL in header:
        raise ManifestFault(MALFORMED, "a protected header that cannot be understood")
    _check_around(around)
    algorithm = header.get(ALGORITHM)
    if type(algorithm) is not int or algorithm not in (EDDSA, *DIGESTS):
        raise ManifestFault("algorithm.unsupported", f"signature algorithm {algorithm!r}")
    return Sign1(protected, algorithm, _chain(header, around), _stamp(around), signature)


def _check_around(around: Mapping[Any, Any]) -> None:
    """Nothing that no signature covers may be changed unseen."""
    known = {PAD, PAD_AGAIN, STAMP, OLD_STAMP, REVOCATION, CHAIN, CHAIN_BY_NAME}
    if not known.issuperset(around):
        raise ManifestFault(MALFORMED, "an unknown header that nobody signed")
    for name in (PAD, PAD_AGAIN):
        zeros = around.get(name, b"")
        if not isinstance(zeros, bytes) or any(zeros):
            raise ManifestFault(MALFORMED, "padding that is not zeros")


def _chain(header: Mapping[Any, Any], around: Mapping[Any, Any]) -> tuple[bytes, ...]:
    """Certificates in DER; the number goes before the name, and neither stands in both (14.5)."""
    for name in (CHAIN, CHAIN_BY_NAME):
        places = [place[name] for place in (header, around) if name in place]
        match places:
            case []:
                continue
            case [bytes(one)]:
                return (one,)
            case [[bytes(), *_] as several] if len(several) <= MOST_CERTIFICATES and all(
                isinstance(each, bytes) for each in several
            ):
                return tuple(several)
            case _:
                break
    raise ManifestFault("signingCredential.invalid", "not one chain of certificates")


def _stamp(around: Mapping[Any, Any]) -> bytes | None:
    match around.get(STAMP):
        case None:
            return None
        case {"tstTokens": [{"val": bytes(token)}, *_]}:
            return token
        case _:
            raise ManifestFault("timeStamp.malformed", "a header for time stamps without any")


def algorithm_of(key: Any) -> int | None:
    """COSE's number of what a public key signs with by default; None where C2PA has none."""
    match key:
        case ed25519.Ed25519PublicKey():
            return EDDSA
        case ec.EllipticCurvePublicKey():
            return {"secp256r1": ES256, "secp384r1": ES384}.get(key.curve.name)
        case rsa.RSAPublicKey():
            return PS256
        case _:
            return None


def signing_function(key: Any) -> Callable[[bytes], bytes]:
    """Signs a message with a private key, as COSE writes it; the key is of `algorithm_of`."""
    algorithm = algorithm_of(key.public_key())
    if algorithm == EDDSA:
        return lambda message: bytes(key.sign(message))
    assert algorithm is not None
    digest = DIGESTS[algorithm]
    if algorithm == PS256:
        return lambda message: bytes(key.sign(message, _pss(digest), digest))
    size = (key.curve.key_size + 7) // 8

    def sign(message: bytes) -> bytes:
        pair = decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
        return b"".join(number.to_bytes(size, "big") for number in pair)

    return sign


def check(signed: Sign1, claim: bytes, key: Any) -> None:
    """That a signature over a claim is this public key's.

    Raises:
        ManifestFault: it is not.
    """
    message = signed_message(signed.protected, claim)
    digest = DIGESTS.get(signed.algorithm)
    try:
        match key:
            case ed25519.Ed25519PublicKey() if signed.algorithm == EDDSA:
                key.verify(signed.signature, message)
            case ec.EllipticCurvePublicKey() if signed.algorithm in (ES256, ES384, ES512):
                assert digest is not None
                key.verify(_der(signed.signature, key), message, ec.ECDSA(digest))
            case rsa.RSAPublicKey() if signed.algorithm in (PS256, PS384, PS512):
                assert digest is not None
                key.verify(signed.signature, message, _pss(digest), digest)
            case _:
                raise ManifestFault(MISMATCH, "the key cannot sign with the algorithm named")
    except InvalidSignature:
        raise ManifestFault(MISMATCH, "the claim is not what was signed") from None


def _der(signature: bytes, key: ec.EllipticCurvePublicKey) -> bytes:
    size = (key.curve.key_size + 7) // 8
    if len(signature) != 2 * size:
        raise ManifestFault(MISMATCH, "a signature of another length than its key's")
    return encode_dss_signature(
        int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
    )


def _pss(digest: hashes.HashAlgorithm) -> rsa_padding.PSS:
    return rsa_padding.PSS(rsa_padding.MGF1(digest), digest.digest_size)
