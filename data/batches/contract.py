"""The columns of an answer file: what must be there, and what may be."""

import re

from data.answers import KINDS

REQUIRED = ("question_id", "content_sha256", "labeler_id")


ANSWERS = tuple(kind.name for kind in KINDS)


ONE_OF = (*ANSWERS, "skip")  # a file has at least one of these columns


SAID = ("seconds", "confidence", "note", "critique", "correction", "flags", "answered_at", "supersedes")


CHECKED = ("batch_id", "schema_version")  # compared with what was sent, where they come back


COLUMNS = (*REQUIRED, *ONE_OF, *SAID, *CHECKED)


TEXT = re.compile(r"query|option_[0-9]{1,2}")  # columns of what was shown: compared with it where they come back
