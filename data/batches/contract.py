"""The columns of an answer file, required and optional."""

import re

from data.answers import KINDS

REQUIRED = ("question_id", "content_sha256", "labeler_id")


ANSWER_COLUMNS = tuple(kind.name for kind in KINDS)


ONE_OF = (*ANSWER_COLUMNS, "skip")  # a file has at least one of these columns


OPTIONAL = ("seconds", "confidence", "note", "critique", "correction", "flags", "answered_at", "supersedes")


ECHOED = ("batch_id", "schema_version")  # if they come back, they are compared with the exported values


ALL_COLUMNS = (*REQUIRED, *ONE_OF, *OPTIONAL, *ECHOED)


TEXT_COLUMN = re.compile(r"query|option_[0-9]{1,2}")  # if it comes back, it is compared with the shown text
