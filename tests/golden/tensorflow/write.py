"""Writes the folders beside it with a real TensorFlow; run once, by hand: `python
tests/golden/tensorflow/write.py [FOLDER]`.

`one/` is a checkpoint in the layout of OpenAI's release, `two/` the same values in two shards,
`expected.json` the SHA-256 of each variable's float32 bytes. Needs the extra `[tensorflow]`;
nothing of staged is imported, so the answer is TensorFlow's alone.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

HPARAMS = {"n_vocab": 260, "n_ctx": 16, "n_embd": 8, "n_head": 2, "n_layer": 2}
MERGES = ["t h", "th e", "a n"]


def variables() -> dict[str, np.ndarray]:
    """Name → random values, with the names and shapes of gpt-2/src/model.py."""
    stream, n = np.random.RandomState(5), HPARAMS["n_embd"]
    shapes: dict[str, tuple[int, ...]] = {
        "wte": (HPARAMS["n_vocab"], n),
        "wpe": (HPARAMS["n_ctx"], n),
        "ln_f/g": (n,),
        "ln_f/b": (n,),
    }
    for layer in range(HPARAMS["n_layer"]):
        for name, columns, rows in (
            ("attn/c_attn", 3 * n, n),
            ("attn/c_proj", n, n),
            ("mlp/c_fc", 4 * n, n),
            ("mlp/c_proj", n, 4 * n),
        ):
            shapes |= {f"h{layer}/{name}/w": (1, rows, columns), f"h{layer}/{name}/b": (columns,)}
        for name in ("ln_1", "ln_2"):
            shapes |= {f"h{layer}/{name}/g": (n,), f"h{layer}/{name}/b": (n,)}
    return {
        f"model/{name}": stream.normal(0, 0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def save(folder: Path, values: dict[str, np.ndarray], *, shards: int) -> None:
    """One checkpoint through tf.compat.v1.train.Saver; variables on several devices make several
    shards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default():
        made = []
        for i, (name, value) in enumerate(values.items()):
            with tf.device(f"/cpu:{i % shards}"):
                made.append(tf.compat.v1.get_variable(name, initializer=tf.constant(value)))
        config = tf.compat.v1.ConfigProto(device_count={"CPU": shards})
        with tf.compat.v1.Session(config=config) as session:
            session.run(tf.compat.v1.global_variables_initializer())
            saver = tf.compat.v1.train.Saver(made, sharded=shards > 1)
            saver.save(session, str(folder / "model.ckpt"), write_meta_graph=False)
    (folder / "checkpoint").write_text(
        'model_checkpoint_path: "model.ckpt"\nall_model_checkpoint_paths: "model.ckpt"\n'
    )
    (folder / "hparams.json").write_text(json.dumps(HPARAMS))
    (folder / "encoder.json").write_text(json.dumps(vocabulary()))
    (folder / "vocab.bpe").write_text(
        "#version: 0.2\n" + "\n".join(MERGES) + "\n", encoding="utf-8"
    )


def vocabulary() -> dict[str, int]:
    """256 bytes in the release's order, the merges, and the end-of-text token."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [256 + i for i in range(256 - len(printable))]
    tokens = (
        [chr(code) for code in (*printable, *others)]
        + [merge.replace(" ", "") for merge in MERGES]
        + ["<|endoftext|>"]
    )
    return {token: i for i, token in enumerate(tokens)}


def main(folder: Path) -> None:
    """Write both checkpoints and what they hold."""
    values = variables()
    for name, shards in (("one", 1), ("two", 2)):
        save(folder / name, values, shards=shards)
    sums = {
        name: hashlib.sha256(value.tobytes()).hexdigest() for name, value in sorted(values.items())
    }
    facts = {"tensorflow": tf.__version__, "sha256": sums}
    (folder / "expected.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
