"""Text as labelers see it: whatever shows nothing is written as its number, and real writing stays as it is."""

import unicodedata

import pytest
import regex

from data.escape import visible
from tests.support.labeling import EVIL


def test_hidden_characters_are_written_out() -> None:
    assert visible(EVIL[2]) == "left ⟦U+202E⟧right⟦U+202C⟧ and a bell ⟦U+0007⟧"
    assert visible("a\nb\té नमस्ते 👩‍🚒") == "a\nb\té नमस्ते 👩‍🚒"


@pytest.mark.parametrize(
    "character",
    "\ufe0f\U000e0101\u2800\u3164\u200d\u200c\u00a0\u202f\u2003\u3000\u115f\uffa0\u034f\u17b4"
    "\u180e\u2064\u00ad\ufeff\u200b"
    "\u2028\U000e0041\ue000\ufffe\ufff0\U0001d159\u0000\u0085\r\ud800",
)
def test_a_character_that_shows_nothing_between_letters_is_written_out(character: str) -> None:
    assert visible(f"a{character}b") == f"a⟦U+{ord(character):04X}⟧b"


def test_every_character_that_a_font_may_ignore_is_written_out() -> None:
    ignorable = regex.compile(r"\p{Default_Ignorable_Code_Point}")
    for number in range(0x110000):
        character = chr(number)
        if ignorable.match(character):
            assert visible(f"a{character}b") == f"a⟦U+{number:04X}⟧b"


def test_spaces_at_ends_of_lines_and_marks_without_a_letter_are_written_out() -> None:
    assert visible("end  ") == "end⟦U+0020⟧⟦U+0020⟧"
    assert visible("a \t\nb\n\n") == "a⟦U+0020⟧⟦U+0009⟧\nb⟦U+000A⟧⟦U+000A⟧"
    assert visible("   ") == "⟦U+0020⟧" * 3
    assert visible("\u0301a \u0301") == "⟦U+0301⟧a ⟦U+0301⟧"
    assert visible(" begins, and  goes on") == " begins, and  goes on"
    assert visible("") == ""


@pytest.mark.parametrize(
    "text",
    [
        "é e\u0301 ñ", "می\u200cخواهم", "ه\u200d", "क्\u200dष", "ক্\u200cষ", "❤️ 1️⃣ #️⃣ ©️", "👨‍👩‍👧‍👦 ❤️‍🔥 👍🏽 🇩🇪",
        "日本語\u3000です",
        "한글 각", "שָׁלוֹם", "ไทย", "ᠮᠣᠩᠭᠣᠯ", "␢ ␀", "a\r\nb",
    ],
)  # fmt: skip
def test_writing_of_all_scripts_stays_as_it_is(text: str) -> None:
    assert visible(text) == text.replace("\r\n", "\n")


def test_a_second_joiner_or_style_hides_even_where_the_first_one_is_at_work() -> None:
    assert visible("می\u200c\u200cخ") == "می\u200c⟦U+200C⟧خ"
    assert visible("❤\ufe0f\ufe0f") == "❤\ufe0f⟦U+FE0F⟧"
    assert unicodedata.name("\ufe0f") == "VARIATION SELECTOR-16"
