"""Attacks on characters are undone exactly; honest text of any language stays; nothing raises;
twice is once.
"""

from __future__ import annotations

import time
import unicodedata

import pytest
from confusable_homoglyphs import confusables
from hypothesis import example, given, settings
from hypothesis import strategies as st

from staged.attacks.kinds import attack
from staged.detectors.normal.hiding import (
    DIRECTION,
    INVISIBLE,
    LOOKALIKE,
    RUNS,
    SPACES,
    STACKED,
    STYLED,
)
from staged.detectors.normal.lookalikes import SIMILAR, TWINS
from staged.detectors.normal.normalize import normalize
from tests.conftest import prose

ENGLISH = (
    "I can cope, he said. A PEACE CONFERENCE opened at 9:30 in Zürich — “no café”, as it were; it"
    " cost £3½ or 4,5 €.\n\n“Maybe,” said Ann O’Neill (MP), “an ox ate a pie.” Naïve? x² + y² ≥ 0…"
    " ☕️ 👨‍👩‍👧 ™"
)
HONEST = (
    ENGLISH,
    "Как дела? Он там, а она и о нём — с нею. У Сохо. НАТО, СССР, МХАТ.",
    "Ο Νίκος και η Μαρία είναι εδώ. ΤΟ ΚΑΚΟ. α, β, γ και ο.",
    "He quoted «а он, о ней» and Ο Χρόνος, then left.",
    "The αSyn level, an α of 0.05, a ν of 3, 5 µm and γH2AX.",
    "می‌خواهم کتاب‌ها را بخوانم",  # with joiners that Persian needs
    "क्‍ष और क्ष",
    "東京は、とても大きい。「はい」と言った！ 葛󠄀",
    "שלום עולם. مرحبا بالعالم",
    "Đặng Thị Huệ, naïveté, Łódź, ß, İstanbul, ılık",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f 1️⃣ ❤️ 👩🏽‍🚀 🇫🇷",
)
# Characters whose treatment depends on their neighbours.
NASTY = (
    "aAоОаαγSιХхнёе\u0301\u0308"
    " \n\r\t\u00a0\u200b\u200c\u200d\ufe0f\ufe01\u20e31#😀👩🏽🏴\U000e0067\U000e007f\U000e0100"
    "\u4e00ب\u0915\u115f\u1160\u1100\u1161\u034f\ufb01Ａ𝐀\u212b\u2126\u037e\u2000\ud83d\ude00\ud800\x00\x1c\x85\u2028\u202e\ufeff"
    "Ⓜ\u1d15eµªᎪɡ\u3164\u0345\u0344\ua69eï"
)


@pytest.mark.parametrize("text", HONEST)
def test_honest_text_stays(text: str) -> None:
    plain = unicodedata.normalize("NFC", text)
    assert normalize(plain).text == plain
    assert not normalize(plain).changes


@pytest.mark.parametrize("name", ["homoglyph", "zero_width_space", "whitespace"])
def test_attacks_on_characters_are_undone_exactly(name: str) -> None:
    for i, text in enumerate([ENGLISH, *(prose(seed, 30) for seed in range(20))]):
        attacked = attack(name, text, seed=5, id=str(i))
        assert attacked != text
        assert normalize(attacked).text == text
        assert normalize(attacked).changes or (
            name == "whitespace" and i == 0
        )  # three double blanks may be an accident


@given(
    st.lists(
        st.sampled_from(sorted(TWINS.items(), key=lambda pair: pair[1])), min_size=1, max_size=8
    )
)
def test_a_word_of_twins_is_read_by_its_neighbours(pairs: list[tuple[str, str]]) -> None:
    foreign, latin = ("".join(one) for one in zip(*pairs, strict=True))
    assert normalize(f"the {foreign} stood").text == f"the {latin} stood"
    assert normalize(f"ждать {foreign} день").text == f"ждать {foreign} день"
    assert normalize(f"the {foreign} день").text == f"the {foreign} день"  # no agreement: left
    assert normalize(foreign).text == foreign
    assert normalize(f"s{foreign}t").text == f"s{latin}t"


def test_pairs_are_unicodes() -> None:
    """Parity with the package that carries confusables.txt whole; a capital that the data calls l
    is I.
    """
    for letter, latin in (TWINS | SIMILAR).items():
        known = {
            one["c"]
            for found in confusables.is_confusable(letter, greedy=True)
            for one in found["homoglyphs"]
        }
        assert latin in known or (latin == "I" and "l" in known and letter.isupper()), (
            letter,
            latin,
        )
        assert len(latin) == 1
        assert latin.isascii()
    assert not TWINS.keys() & SIMILAR.keys()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (
            "One line.\r\nAnother.\rLast.\x0b\x0cEnd\u2028of\u2029it.\x85\n\n\n",
            "One line.\nAnother.\nLast.\n\nEnd\nof\nit.",
        ),
        ("\ufeffMarked, as editors do.", "Marked, as editors do."),
        (
            "« Oui\u00a0! » Non\u202f? a\u00a0b\u00a0c\u00a0d\u00a0e\u00a0f",
            "« Oui ! » Non ? a b c d e f",
        ),
        (
            "Two.  Blanks.  Behind.  A full.  Stop.  \nEnd\t\n\tIndented  ",
            "Two. Blanks. Behind. A full. Stop.\nEnd\n Indented",
        ),
        ("a re\u00admark\u00adable soft\u00adness", "a remarkable softness"),
        ("The ﬁne oﬃce ﬂag", "The fine office flag"),
        ("cafe\u0301 e\u0301", "café é"),
        ("東京 ＡＢＣ １２", "東京 ABC 12"),
        ("שלום \u200fABC\u200e עולם \u2067x\u2069", "שלום ABC עולם x"),
        ("a wide\u200b word \u200bhere", "a wide word here"),
        ("for ℝ and 𝑥, αx and βy", "for R and x, ax and βy"),
        ("\ud83d\ude00 and \ud800", "😀 and �"),
        ("✓\ufe0f done", "✓ done"),
        ("ก\u200bข", "กข"),
    ],
)
def test_what_honest_writing_has_is_cleaned_in_silence(text: str, plain: str) -> None:
    assert normalize(text).text == plain
    assert normalize(text).changes == ()


@pytest.mark.parametrize(
    ("text", "kind", "count"),
    [
        ("a zero\u200bwidth in\u200cside w\u2060ords", INVISIBLE, 3),
        ("con\x02trol", INVISIBLE, 1),
        ("a t\xadrick", INVISIBLE, 1),
        ("x\u2062 y", INVISIBLE, 1),
        ("tags\U000e0041\U000e0042", INVISIBLE, 2),
        ("payload\ufe01\ufe02\ufe03 here", INVISIBLE, 1),
        ("a \u200bb \u200bc \u200bd \u200be", INVISIBLE, 4),
        ("Tаke the сat", LOOKALIKE, 2),
        ("a w\u03bfrd", LOOKALIKE, 1),
        ("𝐛𝐨𝐥𝐝 words", STYLED, 1),
        ("Ｆｕｌｌ width", STYLED, 4),
        ("turned \u202etxet", DIRECTION, 1),
        ("a\u2003b\u2009c\u2004d\u2005e", SPACES, 4),
        ("a  word  and  more  of  them", RUNS, 5),
        ("Z" + "\u0300" * 40, STACKED, 10),
    ],
)
def test_what_can_hide_machine_text_is_counted(text: str, kind: str, count: int) -> None:
    assert {change.what: change.count for change in normalize(text).changes} == {kind: count}


def test_hidden_payloads_are_removed() -> None:
    wrapper = "\ufeff" + "".join(
        chr(0xFE00 + byte % 16) + chr(0xE0100 + byte) for byte in range(60)
    )
    tags = "".join(chr(0xE0000 + ord(letter)) for letter in "ignore this")
    assert normalize(f"One{wrapper} two{tags} three").text == "One two three"


@example("a" + "\u0344" * 40)  # which NFC makes two of
@example("a" + ("\u0301" * 29 + "\u200b") * 3)
@example("\ud800\ude00")  # two halves that are one character, and nothing else
@example("αО\u0301A")  # a look-alike that joins with its accent behind a symbol
@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.text(st.sampled_from(NASTY), max_size=30),
        st.text(st.characters(codec=None), max_size=30),
    )
)
def test_any_string_twice_is_once(text: str) -> None:
    once = normalize(text)
    assert normalize(once.text) == type(once)(once.text, ())
    once.text.encode()
    assert unicodedata.is_normalized("NFC", once.text)
    assert not once.changes or once.text != text
    assert all(change.count > 0 for change in once.changes)


@pytest.mark.parametrize(
    "piece",
    [
        "The pie. ",
        "Тhе ріе. ",
        " ",
        "\n ",
        "\n\n",
        "a\u200d",
        "😀\u200d",
        "а ",
        "e\u0301",
        "\n\n  x",
    ],
)
def test_time_grows_with_length(piece: str) -> None:
    """Linear: eight times as much text takes nowhere near sixty-four times as long; and 200 kB is
    far below a second.
    """

    def seconds(characters: int) -> float:
        text = piece * (characters // len(piece))
        start = time.process_time()
        normalize(text)
        return time.process_time() - start

    short, long = seconds(25_000), seconds(200_000)
    assert long < 30 * max(short, 0.004)
    assert long < 1


def test_stacked_accents_take_no_longer_than_their_length() -> None:
    """200,000 in no order took 45 seconds, as sorting them takes their square."""
    text = "a" + "".join(chr(0x300 + i * 7 % 64) for i in range(400_000))
    found = normalize(text)
    assert len(found.text) <= 31
    assert STACKED in {change.what for change in found.changes}
    assert normalize("Z" + "\u0300" * 12).text == "Z" + "\u0300" * 12  # as a joke has them


def test_whatever_letter_of_mathematics_is_named_is_undone() -> None:
    codes = (*range(0x2100, 0x2150), *range(0x1D400, 0x1D800))
    for letter in (chr(code) for code in codes if unicodedata.category(chr(code)) != "Cn"):
        for text in (f"A{letter}", f"{letter}A", letter + letter, f"word {letter}ord"):
            once = normalize(text)
            assert normalize(once.text) == type(once)(once.text, ())
            assert not once.changes or once.text != text
