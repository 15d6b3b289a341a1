"""Word files as text: `document` from whole to part by package, story (with fields, formulas, styles) and markup; `foreign` files."""

from staged.files.word.document import read
from staged.files.word.foreign import SUFFIXES, is_meant_for_word

__all__ = ["SUFFIXES", "is_meant_for_word", "read"]
