"""The data dictionary says what the schemas say."""

import pyarrow as pa
import pytest

from data.batches.schema import KEY_SCHEMA, questions_schema
from data.errors import Refused
from data.labels.table import LABEL
from data.reports import dictionary


def test_the_page_is_up_to_date() -> None:
    assert dictionary.PAGE.read_text() == dictionary.dictionary(), "run python -m data.reports.dictionary"


@pytest.mark.parametrize("schema", [questions_schema(dictionary.SAMPLES), KEY_SCHEMA, LABEL])
def test_every_column_of_a_schema_is_explained(schema: pa.Schema) -> None:
    explained = [[name for name, _ in table.columns] for table in dictionary.tables()]
    assert schema.names in explained


def test_a_column_that_nobody_explained_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dictionary, "KEY_SCHEMA", KEY_SCHEMA.append(pa.field("mystery", pa.int8())))
    with pytest.raises(Refused, match="no meaning for mystery"):
        dictionary.dictionary()
