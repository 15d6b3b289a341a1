"""Every error that staged raises on purpose.

StagedError                 one clear sentence; the command line prints it and exits with 2
├── CorpusError             text that cannot be read, or is too little
├── PlanError               a plan or an option that is wrong
├── CheckpointError         a model, tokenizer or detector folder that is wrong
├── SamplingError           a generation request that cannot be met
├── ArtifactError           a stage's folder that is damaged, foreign, or cannot be written
│   └── ShardDone           no fault: a shard has done its part, and another writes the result
├── ReleaseError            a release that cannot be signed, checked or uploaded
├── ProvenanceError         a key, a watermark or a manifest that cannot be used, made or read
└── ServeError              the web server cannot start, or will not answer a request
"""

from __future__ import annotations

__all__ = [
    "ArtifactError",
    "CheckpointError",
    "CorpusError",
    "PlanError",
    "ProvenanceError",
    "ReleaseError",
    "SamplingError",
    "ServeError",
    "ShardDone",
    "StagedError",
    "first_line",
]


class StagedError(Exception):
    """Base of the tree; its text is one sentence: what is wrong, where, and what to do."""


class CorpusError(StagedError):
    """Text that cannot be read, or is too little."""


class PlanError(StagedError):
    """A plan or an option that is wrong."""


class CheckpointError(StagedError):
    """A model, tokenizer or detector folder that is wrong."""


class SamplingError(StagedError):
    """A generation request that cannot be met."""


class ArtifactError(StagedError):
    """A stage's folder that is damaged, foreign, or cannot be written."""


class ShardDone(ArtifactError):  # noqa: N818 (no fault)
    """No fault: a shard has done its part of a job, and the result is another shard's to write."""


class ReleaseError(StagedError):
    """A release that cannot be signed, checked or uploaded."""


class ProvenanceError(StagedError):
    """A key, a watermark or a manifest that cannot be used, made or read."""


class ServeError(StagedError):
    """The web server cannot start, or will not answer a request."""


def first_line(error: object) -> str:
    """The first line of what another library's error says, or its kind where it says nothing."""
    message = str(error).strip()
    return message.splitlines()[0] if message else type(error).__name__
