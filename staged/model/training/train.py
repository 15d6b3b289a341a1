"""Training: a language model of any family, from scratch or fine-tuned, or a masked-token encoder;
one process or many under `torchrun`.

Everything a step does depends on the plan, the seed and the step number: its rows, its masks, its
dropout, its learning rate. So a run killed anywhere goes on from its last checkpoint with the same
loss curve, and ends with the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from staged.corpus.build import recorded
from staged.errors import PlanError
from staged.model.checkpoints import model_folder
from staged.model.devices import chosen_device
from staged.model.training import distributed
from staged.model.training.distributed import rank
from staged.model.training.plan import TrainSettings
from staged.model.training.rows.opening import training_text
from staged.model.training.run import Run, StepProgress
from staged.model.training.trainable.start import start_files
from staged.storage.gate import check_stage
from staged.storage.stage_folders import build, check_name, fingerprint, is_complete, partial_of


def train(
    folder: Path,
    settings: TrainSettings,
    *,
    device: str = "auto",
    report: StepProgress = lambda _: None,
) -> bool:
    """Train into `folder`: a model in the hub's layout, `loss.jsonl`, `training.json`, and the
    manifest last.

    Under `torchrun` every process calls this; the first one writes. Killed at any moment and called
    again, it continues from the last checkpoint in `folder.partial`.

    Args:
        device: `cpu`, `cuda`, or `auto` for a GPU where there is one; a process has a GPU of its
            own. What is finished stays, whatever made it.

    Returns:
        True when work was done, False when the folder was already complete.

    Raises:
        CorpusError, CheckpointError, PlanError: what the settings name is missing or does not fit.
        CheckpointError: the loss stopped being a finite number.
        SamplingError: a GPU that is not there.
        ArtifactError: the folder holds something else, or cannot be written.
    """
    if device != "auto":
        device = chosen_device(device)
    distributed.join(device)
    check_name(folder)
    text = training_text(settings)
    wanted = fingerprint(recorded(settings) | {"text": text.digest}, start_files(settings))
    if is_complete(folder, wanted):
        return False
    check_stage(folder)
    if settings.init and folder.exists() and folder.samefile(model_folder(settings.init)):
        raise PlanError(
            f"{folder}: is the model to start from and would be replaced by the tuned one; choose"
            " another --out"
        )
    # killed between its manifest and its new name
    is_built = is_complete(partial_of(folder), wanted)
    # every process has seen that there is work before the first one can finish it
    distributed.barrier()

    def work(partial: Path) -> None:
        Run(partial, settings, text, report, device=device).train()

    if rank() == 0:
        build(folder, work, settings=wanted["settings"], inputs=start_files(settings))
    elif not is_built:
        work(partial_of(folder))
    distributed.barrier()
    return True
