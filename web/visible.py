"""What a text hides, made visible: control characters, and those that turn the direction of what follows."""

import unicodedata

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
HARMLESS = {"\n", "\t", "\u200c", "\u200d"}  # joiners are letters of several scripts, and of emoji


def visible(text: str) -> str:
    """Write every hidden character as its number: a reader sees what a model sees."""
    text = text.replace("\r\n", "\n")
    return "".join(f"\u27e6U+{ord(c):04X}\u27e7" if _hides(c) else c for c in text)


def _hides(character: str) -> bool:
    return character not in HARMLESS and unicodedata.category(character) in HIDDEN
