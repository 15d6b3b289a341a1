"""Attacks on characters are undone exactly; honest text of any language stays; nothing raises; twice is once."""

from __future__ import annotations

import time
import unicodedata

import pytest
from confusable_homoglyphs import confusables
from hypothesis import example, given, settings
from hypothesis import strategies as st

from staged.detectors.contract import Change
from staged.detectors.lookalikes import SIMILAR, TWINS
from staged.detectors.normalize import INVISIBLE, LINE_ENDS, LOOKALIKE, RUNS, SPACES, STACKED, STYLED, normalize
from staged.study.attacks import attack
from tests.conftest import prose

ENGLISH = (
    "I can cope, he said. A PEACE CONFERENCE opened at 9:30 in Zürich — “no café”, as it were; it cost £3½ or 4,5 €.\n\n"
    "“Maybe,” said Ann O’Neill (MP), “an ox ate a pie.” Naïve? x² + y² ≥ 0… ☕️ 👨‍👩‍👧 ™"
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
    "aAоОаαγSιХхнёе\u0301\u0308 \n\r\t\u00a0\u200b\u200c\u200d\ufe0f\ufe01\u20e31#😀👩🏽🏴\U000e0067\U000e007f\U000e0100"
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
        assert normalize(attacked).changes


@given(st.lists(st.sampled_from(sorted(TWINS.items(), key=lambda pair: pair[1])), min_size=1, max_size=8))
def test_a_word_of_twins_is_read_by_its_neighbours(pairs: list[tuple[str, str]]) -> None:
    foreign, latin = ("".join(one) for one in zip(*pairs, strict=True))
    assert normalize(f"the {foreign} stood").text == f"the {latin} stood"
    assert normalize(f"ждать {foreign} день").text == f"ждать {foreign} день"
    assert normalize(f"the {foreign} день").text == f"the {foreign} день"  # no agreement: left
    assert normalize(foreign).text == foreign
    assert normalize(f"s{foreign}t").text == f"s{latin}t"


def test_pairs_are_unicodes() -> None:
    """Parity with the package that carries confusables.txt whole; a capital that the data calls l is I."""
    for letter, latin in (TWINS | SIMILAR).items():
        known = {one["c"] for found in confusables.is_confusable(letter, greedy=True) for one in found["homoglyphs"]}
        assert latin in known or (latin == "I" and "l" in known and letter.isupper()), (letter, latin)
        assert len(latin) == 1
        assert latin.isascii()
    assert not TWINS.keys() & SIMILAR.keys()


def test_what_was_changed_is_counted() -> None:
    odd = "\ufeffTаke\u00a0the  ﬁne\u200b pie.\r\nＡ сat \n\n\n\nsat\u202e.\ud800"
    result = normalize(odd)
    assert result.text == "Take the fine pie.\nA cat\n\nsat.�"
    counts = {change.what: change.count for change in result.changes}
    assert counts[LOOKALIKE] == 2
    assert counts[INVISIBLE] == 2
    assert counts[SPACES] == 1
    assert counts[STYLED] == 2
    assert counts[LINE_ENDS] == 1
    assert counts[RUNS] == 3  # a double space, a space at a line's end, two empty lines too many
    assert counts["marks of writing direction removed"] == 1
    assert counts["broken characters replaced by �"] == 1
    assert normalize("cafe\u0301 e\u0301").changes == (Change("letters joined with their accents", 2),)


def test_hidden_payloads_are_removed() -> None:
    wrapper = "\ufeff" + "".join(chr(0xFE00 + byte % 16) + chr(0xE0100 + byte) for byte in range(60))
    tags = "".join(chr(0xE0000 + ord(letter)) for letter in "ignore this")
    assert normalize(f"One{wrapper} two{tags} three").text == "One two three"


@example("a" + "\u0344" * 40)  # which NFC makes two of
@example("a" + ("\u0301" * 29 + "\u200b") * 3)
@example("\ud800\ude00")  # two halves that are one character, and nothing else
@example("αО\u0301A")  # a look-alike that joins with its accent behind a symbol
@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(st.sampled_from(NASTY), max_size=30), st.text(st.characters(codec=None), max_size=30)))
def test_any_string_twice_is_once(text: str) -> None:
    once = normalize(text)
    assert normalize(once.text) == type(once)(once.text, ())
    once.text.encode()
    assert unicodedata.is_normalized("NFC", once.text)
    assert bool(once.changes) == (once.text != text)
    assert all(change.count > 0 for change in once.changes)


@pytest.mark.parametrize("piece", ["The pie. ", "Тhе ріе. ", " ", "\n ", "\n\n", "a\u200d", "😀\u200d", "а ", "e\u0301", "\n\n  x"])
def test_time_grows_with_length(piece: str) -> None:
    """Linear: eight times as much text takes nowhere near sixty-four times as long; and 200 kB is far below a second."""

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
