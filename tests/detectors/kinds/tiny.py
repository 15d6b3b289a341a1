"""A detector of several readers at tiny size: random weights, nothing learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from staged.detectors.kinds.features import FEATURES
from staged.detectors.kinds.readers.detector import Combination, ReadersDetector
from staged.detectors.kinds.readers.encoder import EncoderReader, TokenOdds
from staged.detectors.kinds.readers.kind import BUCKETS as KIND_BUCKETS
from staged.detectors.kinds.readers.kind import KindReader
from staged.detectors.kinds.readers.lexical import BUCKETS, LexicalReader
from staged.detectors.kinds.readers.numbers import NumbersReader
from staged.detectors.kinds.readers.sentences import Mixing
from staged.model.training.encoder import save_pretrained
from staged.training.readers.numbers import as_trees
from tests.conftest import prose

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def tiny_tokenizer() -> Tokenizer:
    """A word is a token, between the two marks."""
    words = sorted(
        {word.strip(".,") for seed in range(20) for word in prose(seed, 8).split()} | {".", ","}
    )
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate((*SPECIAL, *words))}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def tiny_bert(max_tokens: int = 32) -> BertModel:
    torch.manual_seed(3)
    size = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    vocabulary = tiny_tokenizer().get_vocab_size()
    config = BertConfig(
        vocab_size=vocabulary, max_position_embeddings=max_tokens, initializer_range=0.5, **size
    )
    return BertModel(config, add_pooling_layer=False)


def write_tiny_bert(folder: Path, max_tokens: int = 32) -> Path:
    """The encoder in the hub's layout."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tiny_tokenizer(), pad_token="[PAD]", unk_token="[UNK]"
    )
    save_pretrained(folder, tiny_bert(max_tokens), tokenizer)
    return folder


def tiny_encoder_reader(max_tokens: int = 32) -> EncoderReader:
    model = TokenOdds(tiny_bert(max_tokens))
    return EncoderReader(model, tiny_tokenizer(), max_tokens=max_tokens)


def tiny_readers(
    scorer: Path | str | None, *, name: str = "mine", clear: float = -9.0, sure: float = 9.0
) -> ReadersDetector:
    """A detector of several readers; without a scorer it has no numbers."""
    stream = np.random.default_rng(1)
    x = stream.normal(size=(200, len(FEATURES)))
    trees = as_trees(HistGradientBoostingClassifier(max_iter=5, random_state=1).fit(x, x[:, 0] > 0))
    kinds = KindReader(
        ("news", "story"),
        stream.normal(size=(KIND_BUCKETS, 2)).astype(np.float16).astype(np.float32),
        np.zeros(2, np.float32),
    )
    lexical = LexicalReader(stream.normal(size=BUCKETS).astype(np.float16).astype(np.float32), 0.1)
    numbers = NumbersReader(str(scorer), trees, most_tokens=48) if scorer else None
    combination = Combination((1.0, 0.5, 0.1), (0.8, 0.5, 0.7, 0.0), clear, sure, clear, sure)
    return ReadersDetector(
        lexical,
        tiny_encoder_reader(),
        numbers,
        kinds,
        combination,
        Mixing(0.0, 0.2, 0.8),
        name=name,
    )
