"""Word files as text: a document, its package of parts, its stories and their markup; and files
that are only called Word's.
"""

from staged.files.word.document import read
from staged.files.word.foreign import OTHERS, SUFFIXES, is_meant_for_word

__all__ = ["OTHERS", "SUFFIXES", "is_meant_for_word", "read"]
