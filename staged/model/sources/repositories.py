"""Downloads: the needed files of a hub repository into huggingface_hub's cache, and OpenAI's
TensorFlow files into ours.

With HF_HUB_OFFLINE=1 nothing is asked of the network; what is missing is said, and where to put it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from staged.errors import CheckpointError, first_line
from staged.model.formats.layouts import BESIDE, INDEX, PICKLED, SAFETENSORS, missing_files
from staged.model.sources.places import nearest_place, standing, why_not_there
from staged.model.sources.releases import Release, released
from staged.model.sources.resumable_download import fetch
from staged.storage.digests import sha256_file
from staged.storage.versions import cache_folder
from staged.storage.writing import disk_errors, locked

BUCKET = "https://openaipublic.blob.core.windows.net/gpt-2/models"
SMALL = ("config.json", "tokenizer.json", *BESIDE)
WEIGHTS = (
    (SAFETENSORS, SAFETENSORS + INDEX, "model-*-of-*.safetensors"),
    (PICKLED, PICKLED + INDEX, "pytorch_model-*-of-*.bin"),
)
SUMS = {  # SHA-256, the same for all four sizes
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
DATA = "model.ckpt.data-00000-of-00001"
# the graph, .meta, is not needed
FILES = ("checkpoint", "hparams.json", "encoder.json", "vocab.bpe", "model.ckpt.index", DATA)
SHA256 = re.compile(r"[0-9a-f]{64}")


def offline() -> bool:
    """Whether the environment forbids the network, as huggingface_hub reads it."""
    return os.environ.get("HF_HUB_OFFLINE", os.environ.get("TRANSFORMERS_OFFLINE", "")).upper() in (
        "1",
        "ON",
        "YES",
        "TRUE",
    )


def hub_folder(repository: str) -> Path:
    """The local snapshot of a repository's needed files; one that is complete in the cache is used
    without asking the network.

    Raises:
        CheckpointError: offline and not in the cache; no such repository, no network, or no model
            in the hub's layout in it.
    """
    from huggingface_hub import snapshot_download

    cached = _cached(repository)
    lacks = missing_files(cached)
    if not lacks:
        assert cached is not None
        return cached
    if offline():
        raise _not_given(
            repository,
            f"HF_HUB_OFFLINE is set and the hub's cache lacks {', '.join(lacks)}",
            "put these files into a folder and give its path as the model, or run once with"
            " HF_HUB_OFFLINE=0",
        )
    with _hub_errors(repository):
        for weights in WEIGHTS:
            folder = Path(snapshot_download(repository, allow_patterns=[*SMALL, *weights]))
            if SAFETENSORS not in missing_files(folder):
                break
    lacks = missing_files(folder)
    if lacks:
        raise CheckpointError(
            f"model {repository!r}: the repository has no {', '.join(lacks)}; choose one in the"
            " hub's layout (docs/models.md)"
        )
    return folder


def is_cached(repository: str) -> bool:
    """Whether a repository's needed files are on this machine."""
    return not missing_files(_cached(repository))


def hub_files(repository: str, names: Sequence[str]) -> Path:
    """The local snapshot of some of a repository's files, by name; those that it does not have are
    not there.

    Raises:
        CheckpointError: no such repository, or no network.
    """
    from huggingface_hub import snapshot_download

    with _hub_errors(repository):
        return Path(snapshot_download(repository, allow_patterns=list(names)))


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        yield
    except RepositoryNotFoundError:
        raise _not_given(
            repository, "the hub has no such repository (or a private one)", "check the name"
        ) from None
    except Exception as error:  # the hub's client and the HTTP library below it raise many kinds
        sentence = f"the hub did not give it: {first_line(error).removeprefix('Got: ')}"
        advice = (
            "check the network, or put the model's files into a folder and give its path"
            " (docs/models.md)"
        )
        raise _not_given(repository, sentence, advice) from None


def _not_given(repository: str, sentence: str, advice: str) -> CheckpointError:
    """What the hub said, after what there is to say of a folder: `owner/model` can be either, but
    for a released size's.
    """
    if released(repository) is not None:
        return CheckpointError(f"model {repository!r}: {sentence}; {advice}")
    if nearest_place(repository) or standing(Path(repository.partition("/")[0])) == "folder":
        return CheckpointError(
            f"model {repository!r}: {why_not_there(repository)} (As a name on the hub: {sentence}.)"
        )
    return CheckpointError(f"model {repository!r}: no such folder here, and {sentence}; {advice}")


def _cached(repository: str) -> Path | None:
    """The newest snapshot in the hub's cache, whole or not."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                repository, local_files_only=True, allow_patterns=[*SMALL, *WEIGHTS[0]]
            )
        )
    except LocalEntryNotFoundError as error:
        # of a snapshot that misses some file, it knows the place
        place = getattr(error, "snapshot_path", None)
        return Path(place) if place else None
    except HFValidationError:
        return None


def check_hub_sums(folder: Path) -> None:
    """Compare a snapshot's large files with the SHA-256 that the hub states, which is their name in
    its cache.

    huggingface_hub itself compares sizes only.

    Raises:
        CheckpointError: a file is another; it is removed from the cache, so that the next run
            downloads it again.
    """
    for path in sorted(folder.iterdir()):
        blob = path.resolve()
        if path.is_symlink() and SHA256.fullmatch(blob.name) and sha256_file(blob) != blob.name:
            path.unlink()
            blob.unlink()
            raise CheckpointError(
                f"{path}: does not match the SHA-256 that the hub states; it was thrown away, run"
                " the command again"
            )


def openai_cache(name: str) -> Path:
    """Where files from OpenAI's bucket are kept, by model."""
    return cache_folder() / "openai" / name


def openai_folder(release: Release) -> Path:
    """OpenAI's TensorFlow folder of a size, downloaded where it is not there yet; killed, the next
    call continues.

    The data file's size follows from the shape, the tokenizer's SHA-256 are known, the server's MD5
    is checked where it gives one, and the weights' own CRC-32C when they are loaded.

    Raises:
        CheckpointError: offline and not there; the server does not answer, or not with the file.
        ArtifactError: the disk is full, or another process downloads the same.
    """
    folder = openai_cache(release.size)
    lacks = [name for name in FILES if not (folder / name).is_file()]
    if lacks and offline():
        raise CheckpointError(
            f"model 'openai:{release.size}': HF_HUB_OFFLINE is set and {', '.join(lacks)} of"
            f" {BUCKET}/{release.size}/ {'are' if len(lacks) > 1 else 'is'} missing; put them into"
            f" {folder}, or run once with HF_HUB_OFFLINE=0"
        )
    if lacks:
        with disk_errors(folder), locked(folder):
            for name in lacks:
                size = 4 * release.config.parameters if name == DATA else None
                fetch(
                    f"{BUCKET}/{release.size}/{name}",
                    folder / name,
                    size_bytes=size,
                    sha256=SUMS.get(name),
                )
    return folder
