"""What checkpoints call a GPT-2's tensors, and what a file looks like that holds something else."""

from __future__ import annotations

import re
from collections.abc import Collection

HEAD = "lm_head.weight"
WRAPPERS = re.compile(
    r"(?<![^.])(?:module|_orig_mod|_forward_module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
# behind `transformer.`, `model.`, …
OURS = re.compile(r"(?:[A-Za-z_]\w*\.)*?((?:wte|wpe|ln_f|lm_head)\.[^.]+|h\.\d+\..+)")
SIGNS = {
    r"\.lora_|\.base_layer\.": (
        "a LoRA adapter that is not merged; merge it (in peft: merge_and_unload) and save the whole"
        " model"
    ),
    r"qweight|qzeros|\.SCB$|absmax|quant_|weight_scale|weight_format|_packed": (
        "quantised weights; take the model as it was before"
    ),
    r"exp_avg|^state\.|param_groups|optimizer": (
        "the state of an optimizer; the weights lie in another file"
    ),
    r"language_model\.|query_key_value|dense_h_to_4h|decoder\.layers\.": (
        "Megatron's layout; convert it to the hub's"
    ),
    r"encoder\.layer\.\d|bert\.": "an encoder such as BERT, which continues no text",
    r"layers\.\d+\.self_attn|gpt_neox|attn\.attention|attn\.[qkv]_proj|crossattention": (
        "a model of another architecture"
    ),
    r"(?:score|classifier|v_head\.summary|multiple_choice_head\.summary)\.": (
        "a GPT-2 with another head than for text"
    ),
}
SHOWN = 3  # names in a sentence


def plain_name(name: str) -> str:
    """`_orig_mod.module.transformer.h.0.ln_1.bias` → `h.0.ln_1.bias`; other tensors' names only
    without such wrappers.

    What stands before is no part of the model: whatever wraps one (DDP, FSDP, torch.compile,
    Lightning, PEFT) adds its own.
    """
    bare = WRAPPERS.sub("", name)
    match = OURS.fullmatch(bare)
    return match[1] if match else bare


def described(names: Collection[str]) -> str:
    """How many tensors there are, the first names, and what they look like where that is known."""
    shown = ", ".join(repr(name) for name in list(names)[:SHOWN])
    known = next(
        (words for sign, words in SIGNS.items() if any(re.search(sign, name) for name in names)), ""
    )
    return f"{len(names):,} tensors, such as {shown}" + (
        f": it looks like {known}" if known else ""
    )
