"""The watermark that some settings ask for, from its key's folder."""

from __future__ import annotations

from staged.errors import PlanError, SamplingError
from staged.keys.ring import Use, WatermarkSecret, open_key, record_use, usable
from staged.model.checkpoints import own_folder
from staged.samples.writers.contract import SampleSettings
from staged.watermarks.contract import Watermark
from staged.watermarks.schemes import make_watermark, settings_of


def opened_watermark(settings: SampleSettings, vocabulary: int) -> Watermark | None:
    """The watermark, and its key remembers that it marks with it; None where none is asked for.

    Args:
        vocabulary: tokens that the model has a logit for.

    Raises:
        ProvenanceError, ArtifactError: no such key, it marks nothing new, or its folder cannot be
            written.
        PlanError: the key is a stranger's, of another scheme.
        SamplingError: a scheme that gives a prompt one text, and more of them are asked for.
    """
    if not settings.watermark:
        return None
    key = usable(open_key(settings.key), "watermark")
    watermark = _made(settings, key.watermark_secret(), vocabulary)
    check_texts_differ(watermark, settings)
    folder = own_folder(settings.model)
    model = str(folder.resolve()) if folder else settings.model
    record_use(key, Use(watermark.scheme, model, vocabulary, settings_of(watermark)))
    return watermark


def _made(settings: SampleSettings, secret: WatermarkSecret, vocabulary: int) -> Watermark:
    if secret.scheme not in (None, settings.watermark):
        raise PlanError(
            f"sample: key {settings.key!r} marks by {secret.scheme} alone; give --watermark"
            f" {secret.scheme}"
        )
    return make_watermark(settings.watermark, secret.secret, vocabulary, secret.settings)


def check_texts_differ(watermark: Watermark, settings: SampleSettings) -> None:
    """Refuse several samples of a prompt that has one text only.

    Raises:
        SamplingError: the watermark fixes texts, and such are asked for.
    """
    if not watermark.fixes_text:
        return
    prompts = [settings.prompt(i) for i in range(settings.count)]
    if len(set(prompts)) < len(prompts):
        raise SamplingError(
            f"sample: {watermark.scheme} gives a prompt one text, whatever the seed, and several"
            " samples of one prompt are asked for; take --watermark gumbel-dual or synthid, or one"
            " sample a prompt"
        )
