"""The language model that shows a text token by token."""

from __future__ import annotations

from staged.detectors.contract import Detector, ReadsWithModel, TokenRank
from staged.detectors.kinds.readers.detector import ReadersDetector
from staged.detectors.kinds.zero_shot import MOST_TOKENS
from staged.detectors.names import SCORER
from staged.detectors.token_ranks import token_ranks
from staged.errors import CheckpointError
from staged.model.causal import CausalLM, load_causal


class Scorer:
    """The language model that shows texts token by token: the one that a detector reads with, or
    one that is loaded when it is first needed.

    Args:
        device: where that one computes.
    """

    def __init__(self, detector: Detector, *, device: str = "cpu") -> None:
        self._detector, self._device = detector, device
        self._model: CausalLM | None = None
        self._missing = ""  # why there is none

    def tokens(self, text: str) -> list[TokenRank]:
        """The tokens of a normalised text; none after `load` has said why.

        Raises:
            CheckpointError: the model is not installed.
        """
        return [] if self._missing else token_ranks(self._load(), text, most_tokens=MOST_TOKENS)

    def load(self) -> str:
        """Load the model, and say nothing; or say why no text will be shown token by token."""
        try:
            self._load()
        except CheckpointError as error:
            self._missing = f"texts are not shown word by word: {error}"
        return self._missing

    def _load(self) -> CausalLM:
        if self._model is None:
            reading = reading_of(self._detector)
            self._model = reading.scorer if reading else load_causal(SCORER, device=self._device)
        return self._model


def reading_of(detector: Detector) -> ReadsWithModel | None:
    """What of a detector reads with a language model: itself, one of its readers, or nothing."""
    reader = detector.numbers if isinstance(detector, ReadersDetector) else detector
    return reader if isinstance(reader, ReadsWithModel) else None
