"""GPT-2's published zero-shot results: Radford et al. 2019, table 3, as printed there."""

from __future__ import annotations

PUBLISHED_SIZES = ("124M", "355M", "774M", "1558M")
PUBLISHED: dict[str, tuple[float, float, float, float]] = {
    "LAMBADA, perplexity": (35.13, 15.60, 10.87, 8.63),
    "LAMBADA, accuracy %": (45.99, 55.48, 60.12, 63.24),
    "CBT common nouns, accuracy %": (87.65, 92.35, 93.45, 93.30),
    "CBT named entities, accuracy %": (83.4, 87.1, 88.0, 89.05),
    "WikiText2, perplexity per word": (29.41, 22.76, 19.93, 18.34),
    "PTB, perplexity per word": (65.85, 47.33, 40.31, 35.76),
    "enwik8, bits per byte": (1.16, 1.01, 0.97, 0.93),
    "text8, bits per character": (1.17, 1.06, 1.02, 0.98),
    "WikiText103, perplexity per word": (37.50, 26.37, 22.05, 17.48),
    "1BW, perplexity per word": (75.20, 55.72, 44.575, 42.16),
}
PUBLISHED_NOTE = (
    "Radford et al. 2019, table 3: GPT-2 without training on the task. A figure of yours compares"
    " with a row only if the file is that test set, prepared as there: the set's own tokenization"
    " undone by an invertible detokenizer, per word of the original."
)
