"""Signatures of package folders: OpenSSF Model Signing with a local elliptic-curve key, offline.

The signature covers every file of the package but itself, SHA256SUMS, and `.gitattributes`, which
model-signing's own program leaves out; the signed SBOM holds that one's sum. SHA256SUMS covers
every file but itself, the signature too. So no file can change alone, and all together only with
the private key. https://github.com/sigstore/model-transparency
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from staged.errors import ReleaseError
from staged.storage.writing import replacing, write_atomic

__all__ = [
    "ATTRIBUTES",
    "BESIDE",
    "NOT_SIGNED",
    "PUBLIC",
    "SIGNATURE",
    "SUMS",
    "check_signature",
    "make_keys",
    "public_half",
    "sign",
]

SIGNATURE, SUMS, PUBLIC, ATTRIBUTES = "model.sig", "SHA256SUMS", "release.pub", ".gitattributes"
NOT_SIGNED = (SIGNATURE, SUMS, ATTRIBUTES)
BESIDE = (".git", ".cache")  # folders of a program that brought the package; `verify` names them
MISSING = "signing needs the extra: pip install 'staged[release]'"
OWNER_ONLY = 0o600


def make_keys(folder: Path) -> tuple[Path, Path]:
    """Make a P-256 key pair: `release.key` (readable by its owner only), `release.pub`, both PEM.

    Raises:
        ReleaseError: one of them is there already.
    """
    serialization, ec = _cryptography()
    private, public = folder / "release.key", folder / PUBLIC
    for path in (private, public):
        if path.exists():
            raise ReleaseError(
                f"{path}: is there already, and a key is never overwritten; choose another folder"
            )
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    with replacing(private) as temporary:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNER_ONLY))
        temporary.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    write_atomic(
        public, key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def public_half(private: Path) -> bytes:
    """The PEM of a private key's public half.

    Raises:
        ReleaseError: not a PEM file of an unencrypted elliptic-curve key.
    """
    serialization, ec = _cryptography()
    try:
        key = serialization.load_pem_private_key(private.read_bytes(), None)
    except OSError as error:
        raise ReleaseError(
            f"{private}: cannot be read: {error.strerror}; make a key with `staged release keygen`"
        ) from None
    except (ValueError, TypeError) as error:
        raise ReleaseError(
            f"{private}: not an unencrypted private key in PEM ({error}); make one with `staged"
            " release keygen`"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ReleaseError(
            f"{private}: not an elliptic-curve key; make one with `staged release keygen`"
        )
    pem: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem


def sign(folder: Path, private: Path) -> None:
    """Write the folder's `model.sig`.

    Raises:
        ReleaseError: the key cannot be used.
    """
    signing = _model_signing("signing")
    with replacing(folder / SIGNATURE) as temporary:
        try:
            config = (
                signing.Config()
                .use_elliptic_key_signer(private_key=private)
                .set_hashing_config(_hashing(temporary.name))
            )
            config.sign(folder, temporary)
        except (ValueError, TypeError) as error:
            raise ReleaseError(
                f"{private}: cannot sign: {error}; the key must be P-256, P-384 or P-521 in PEM"
            ) from None


def check_signature(folder: Path, public: Path) -> str:
    """What is wrong with the folder's signature under a public key; empty when it holds.

    Raises:
        ReleaseError: the public key cannot be read.
    """
    verifier = _verifier(public)
    try:
        verifier.verify(folder, folder / SIGNATURE)
    except Exception as error:  # the library meets damaged bundles with whatever its parsers raise
        reason = " ".join(str(error).split()) or type(error).__name__
        # else digests as bytes
        return (
            "the files are not those that were signed"
            if reason.startswith("Signature mismatch")
            else reason
        )
    return ""


def _verifier(public: Path) -> Any:
    verifying = _model_signing("verifying")
    try:
        return (
            verifying.Config()
            .use_elliptic_key_verifier(public_key=public)
            .set_hashing_config(_hashing(*BESIDE))
        )
    except OSError as error:
        raise ReleaseError(
            f"{public}: cannot be read: {error.strerror}; give the releaser's public key, a PEM"
            " file"
        ) from None
    except (ValueError, TypeError) as error:
        raise ReleaseError(f"{public}: not a public key in PEM ({error})") from None


def _hashing(*others: str) -> Any:
    config = _model_signing("hashing").Config().use_file_serialization(max_workers=1)
    return config.set_ignored_paths(paths=[*NOT_SIGNED, *others], ignore_git_paths=False)


def _model_signing(part: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"model_signing.{part}")
    except ImportError:
        raise ReleaseError(MISSING) from None


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise ReleaseError(MISSING) from None
    return serialization, ec
