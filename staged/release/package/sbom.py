"""A package's bill of materials, CycloneDX 1.6 in JSON: the model, its files with their SHA-256,
the libraries that read them.
"""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Mapping
from pathlib import Path

from staged.errors import ArtifactError, ReleaseError, first_line
from staged.release.package.layout import SBOM
from staged.storage.json_files import read_json
from staged.storage.versions import versions
from staged.storage.writing import write_atomic

MISSING = "an SBOM needs the extra: pip install 'staged[release]'"

try:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.exception import MissingOptionalDependencyException
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import License
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
except (
    ImportError
):  # who only reads cards does without the extra; this module is imported where it is needed
    raise ReleaseError(MISSING) from None

__all__ = ["check_sbom", "listed_sizes", "write_sbom"]


SIZE = "staged:size_bytes"


def write_sbom(
    folder: Path,
    files: Mapping[str, str],
    *,
    name: str,
    version: str,
    licence: str,
    date: datetime.date,
) -> None:
    """Write `sbom.cdx.json` for these files of the folder.

    Args:
        files: path in the package → SHA-256 in hexadecimal.
        licence: an identifier of the SPDX list, in any case; or empty.
        date: of the release; the document holds no other time, so the same package gives the same
            bytes.
    """
    model = Component(
        name=name,
        version=version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref="model",
        licenses=_licence(licence),
    )
    parts = [_file(folder, path, digest) for path, digest in sorted(files.items())]
    libraries = [
        Component(
            name=library, version=number, type=ComponentType.LIBRARY, bom_ref=f"library:{library}"
        )
        for library, number in sorted(versions().items())
        if library not in ("python", "commit")
    ]
    bom = Bom(
        components=[*parts, *libraries],
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, json.dumps([name, version, dict(files)])),
    )
    bom.metadata.component = model
    bom.metadata.timestamp = datetime.datetime.combine(date, datetime.time(), datetime.UTC)
    bom.register_dependency(model, [*parts, *libraries])
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    write_atomic(folder / SBOM, (text + "\n").encode())


def listed_sizes(folder: Path) -> dict[str, int]:
    """Path → size in bytes as the SBOM gives them; empty when it cannot be read."""
    try:
        parts = read_json(folder / SBOM)["components"]
        return {
            part["name"]: int(part["properties"][0]["value"])
            for part in parts
            if part["type"] == "file"
        }
    except (ArtifactError, KeyError, IndexError, TypeError, ValueError):
        return {}


def check_sbom(folder: Path, files: Mapping[str, str]) -> list[tuple[str, str]]:
    """(file, what is wrong) of a package's SBOM: its form under CycloneDX's own schema, and its
    sums against these files.
    """
    try:
        text = (folder / SBOM).read_text(encoding="utf-8")
        table = read_json(folder / SBOM)
    except (OSError, ValueError, ArtifactError) as error:
        return [(SBOM, f"cannot be read: {error}")]
    if fault := _fault(text):
        return [(SBOM, f"not CycloneDX 1.6: {fault}")]
    listed = {
        component["name"]: component["hashes"][0]["content"]
        for component in table.get("components", [])
        if component["type"] == "file"
    }
    wrong = [(path, "not in the SBOM") for path in sorted(set(files) - set(listed))]
    wrong += [
        (path, "in the SBOM, not in the package") for path in sorted(set(listed) - set(files))
    ]
    return wrong + [
        (path, "differs from its sum in the SBOM")
        for path in sorted(files)
        if path in listed and listed[path] != files[path]
    ]


def _fault(text: str) -> str:
    try:
        fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    except MissingOptionalDependencyException:  # the schemas' own library, which its extra brings
        raise ReleaseError(MISSING) from None
    return "" if fault is None else first_line(fault)


def _file(folder: Path, path: str, digest: str) -> Component:
    return Component(
        name=path,
        type=ComponentType.FILE,
        bom_ref=f"file:{path}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        properties=[Property(name=SIZE, value=str((folder / path).stat().st_size))],
    )


def _licence(licence: str) -> list[License]:
    if not licence:  # nobody chose one
        return []
    return [LicenseFactory().make_from_string(licence.upper() if licence.islower() else licence)]
