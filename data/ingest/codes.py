"""Why a file is refused, as codes: names for stores, reports and scripts that stay when a text is worded anew."""

from enum import StrEnum
from typing import NamedTuple

from data.errors import Refused


class RefusalCode(StrEnum):
    """Why a file is refused before its answers are looked at. If the answers look wrong, the code is the finding's."""

    UNREADABLE = "unreadable"  # it is no answer file, or not a whole one
    OTHER_BATCH = "other_batch"  # it answers questions of another batch, campaign or store
    INDICES_ONE_BASED = "indices_one_based"  # it counts the options from 1
    UNUSABLE_ROWS = "unusable_rows"  # more than a few of its rows cannot be used
    OTHER = "other"  # none of these; or an older version of Andon refused it, and gave no code


class FileRefused(Refused):
    """A delivered file is refused as a whole, and nothing of it was taken."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # a RefusalCode, or the code of a finding


class Fault(NamedTuple):
    """What is wrong with a file as a whole."""

    code: str  # a RefusalCode, or the code of a finding
    text: str  # in short
    evidence: str  # by which one sees it
