"""Made texts of every kind of Unicode."""

from __future__ import annotations

import random
import unicodedata

POOLS = (
    "abcdefghijklmnopqrstuvwxyz     ,.\n",
    "éàüßñçøåĳŒ ",
    "שלוםעולם אבגד\u200f\u202a\u202c",
    "العربية ـ\u064b\u064e\u0651",
    "日本語の文章、漢字かな交じり。",
    "한국어 각힣가",
    "👩\u200d👩\u200d👧\u200d👦❤\ufe0f🏳\ufe0f\u200d🌈👍🏽☺\ufe0e",
    "e\u0301a\u0308\u0323o\u0302\u0301n\u0303 ",
    "\u1e9b\u0323\u212b\u2126\uf900\u0958\u0344 ",
    "नमस्ते ประเทศไทย ",
    "\x00\x01\x07\t\r\n\x7f\u0085\u2028\u2029",
    "\ufeff\u200b\u200c\u2060\u00ad\u180e",
    "\U0001d54f\U0001f600\U00020000\U0010ffff\ue000\ufffd",
    "\u0e33\u0f73\u0f71\u0f72\u1100\u1161\u11a8",
)


def made_texts(count: int, seed: int = 24) -> list[str]:
    """Texts of 0 to some 300 characters, of one pool or of several."""
    dice = random.Random(seed)
    texts = []
    for number in range(count):
        pools = dice.sample(POOLS, k=1 + number % 4)
        length = dice.choice((0, 1, 2, 7, 44, 120, 300))
        texts.append("".join(dice.choice(dice.choice(pools)) for _ in range(length)))
    return texts


def is_stream_safe(text: str) -> bool:
    """Whether no more than 30 combining marks follow each other, which is c2patxt's limit."""
    run = 0
    for letter in unicodedata.normalize("NFKD", text):
        run = run + 1 if unicodedata.combining(letter) else 0
        if run > 30:
            return False
    return True
