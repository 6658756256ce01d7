"""Every kind of answer: one class says how it is delivered, checked, stored, learned from and asked for."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import ValidationError

from data.answers import BY_NAME, DETAILED, KINDS
from data.answers.answer import count_undecided, favourite, named, text_of, to_samples, won
from data.answers.base import BadAnswer, Kind, Option, compact, option_names
from data.answers.ratings import AXES
from data.batches.contract import ALL_COLUMNS
from data.campaign.settings import Ask
from data.labels.table import LABEL, label_id

TEMPLATES = Path(__file__).resolve().parents[2] / "web" / "templates" / "kinds"
K, ASKED = 4, ("accuracy", "overall")
ORDER = (2, 0, 3, 1)  # order[position] is the sample shown there
OPTIONS = [Option(name, name.upper()) for name in option_names(K)]


class Inputs(HTMLParser):
    """The values of each group of radio buttons in a widget: by position for a choice, else by field and slot."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.choices: list[int] = []
        self.numbers: dict[str, dict[str, list[int]]] = {}  # field to the name of a group to its values
        templates = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True)
        self.slots = self.texts = self.groups = 0
        self.feed(templates.get_template(f"{kind.name}.html").render(kind=kind, count=K, axes=ASKED))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.slots += "data-slot" in given
        self.texts += "data-text" in given
        if "data-group" in given:
            self.groups += 1
            assert given["data-missing"], "what is missing is said in words"
        if tag == "input" and "data-field" in given:
            fields = self.numbers.setdefault(str(given["data-field"]), {})
            fields.setdefault(str(given["name"]), []).append(int(str(given["value"])))
        elif tag == "input":
            assert given["name"] == "choice"
            self.choices.append(int(str(given["value"])))


def forms(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    """Draw complete forms of the labeling page, as its widget can send them."""
    inputs = Inputs(kind)
    if inputs.choices:
        return st.sampled_from(inputs.choices).map(lambda choice: {"choice": choice})
    lists = {
        field: st.tuples(*(st.sampled_from(values) for values in groups.values())).map(list)
        for field, groups in inputs.numbers.items()
    }
    return st.fixed_dictionaries(lists).map(lambda given: {"given": given})


every_kind = pytest.mark.parametrize("kind", KINDS, ids=list(BY_NAME))


def test_every_kind_has_its_column_and_its_widget() -> None:
    assert {"best", "ranking", "ratings"} <= set(BY_NAME)
    assert {file.stem for file in TEMPLATES.glob("*.html")} == set(BY_NAME)
    assert set(BY_NAME) <= set(ALL_COLUMNS)
    assert {kind.name for kind in DETAILED} < set(LABEL.names)


@every_kind
def test_the_widget_has_a_text_for_each_option_and_says_what_is_missing(kind: Kind) -> None:
    inputs = Inputs(kind)
    assert inputs.slots == inputs.texts == K and inputs.groups >= 1
    assert bool(inputs.choices) != bool(inputs.numbers)
    for field, groups in inputs.numbers.items():
        assert list(groups) == [f"{field}-{slot}" for slot in range(K)], "label.js finds a group by these names"


@every_kind
@given(data=st.data())
def test_what_the_page_sends_is_read_stored_by_sample_and_shown_again(kind: Kind, data: st.DataObject) -> None:
    form = data.draw(forms(kind))
    columns = kind.from_page(form, K, ASKED)
    assert list(columns) == [kind.name]
    again = kind.from_page(kind.to_page(columns, ASKED), K, ASKED)
    assert again == columns, "the page shows what was answered"
    row = kind.read(columns[kind.name])
    assert pa.scalar(row, kind.row_type).as_py() == row
    stored = kind.to_samples(row, ORDER)
    assert pa.scalar(stored, kind.stored_type).as_py() == stored
    shown = kind.utilities(kind.to_samples(row, tuple(range(K))), K)
    assert kind.utilities(stored, K) == [shown[ORDER.index(sample)] for sample in range(K)]
    habit = kind.habit([stored])
    choices, ratings = kind.target(stored, K, habit)
    assert all(sum(choice.shares) == pytest.approx(1) for choice in choices)
    assert len(ratings) in (0, K)
    if ratings:  # on another scale, and in the same order
        liked = kind.utilities(stored, K)
        assert sorted(range(K), key=liked.__getitem__) == sorted(range(K), key=ratings.__getitem__)


@every_kind
@pytest.mark.parametrize(
    "form",
    [
        {},
        {"choice": 4},
        {"choice": True},
        {"choice": "1"},
        {"given": []},
        {"given": {"place": [1, 2, 3], "overall": [1, 2, 3]}},
        {"given": {"place": [1, 2, 3, None], "overall": [1, 2, 3, None]}},
        {"given": {"place": [1, 2, 3, 5], "overall": [1, 2, 3, 8]}},
        {"given": {"place": [1, 2, 3, 0], "overall": [1, 2, 3, 0]}},
        {"given": {"place": [1, 2, 3, True], "overall": [1, 2, 3, True]}},
        {"given": {"place": "1234", "overall": "1234"}},
    ],
)
def test_an_incomplete_form_is_refused_in_words(kind: Kind, form: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer, match=r"^[A-Za-z ,]+ .*\.$"):
        kind.from_page(form, K, ("overall",))


@every_kind
def test_the_config_of_each_tool_asks_for_the_kind_and_for_a_skip(kind: Kind) -> None:
    lines = kind.label_studio(OPTIONS, ("overall",))
    names: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            names.extend(str(value) for name, value in attrs if name == "name")

    Tags().feed("".join(lines))
    assert any(kind.is_control(name) for name in names) and 'skip"' in "".join(lines)
    questions = kind.argilla([option.name for option in OPTIONS], ("overall",))
    assert "skip" in json.dumps(questions)
    assert all({"name", "type", "required"} <= question.keys() for question in questions)


@every_kind
def test_the_docs_have_a_line_for_the_kind(kind: Kind) -> None:
    page = (TEMPLATES.parents[2] / "docs" / "data-dictionary.md").read_text()
    assert re.search(rf"^\| `{kind.name}` \| .*{re.escape(kind.meaning[:30])}", page, re.MULTILINE)


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match="there is no kind 'pairs'.*best, ranking"):
        Ask(kind="pairs")
    assert Ask(kind="ratings", axes=("accuracy",)).axes == ("accuracy",) and set(AXES) >= {"accuracy"}


def test_a_best_option_and_details_that_contradict_each_other_are_no_answer() -> None:
    assert to_samples(1, {"ranking": "[[1],[0,2]]"}, ORDER) == (1, {"ranking": [[0], [2, 3]]})
    assert to_samples(None, {"ranking": "[[1,0],[2]]"}, ORDER)[0] is None
    assert to_samples(2, {"ratings": '{"overall":[1,7,1,1]}'}, ORDER)[0] == 2
    with pytest.raises(BadAnswer, match="best is 2, which the ranking does not put first"):
        to_samples(2, {"ranking": "[[1],[0,2]]"}, ORDER)


def test_the_id_of_a_label_is_that_of_the_first_stores() -> None:
    ranking, ratings = [[2], [0, 3]], '{"overall":[1,2,3,4]}'
    both = {"ranking": ranking, "ratings": ratings}
    ids = [
        label_id("b1", "q1", "ann", 2),
        label_id("b1", "q1", "ann", 2, {"ranking": ranking}),
        label_id("b1", "q1", "ann", None, {"ratings": ratings}),
        label_id("b1", "q1", "ann", 2, both, "x"),
    ]
    assert [name[:12] for name in ids] == ["ff7107125bef", "eb061814765f", "b7fc20a4610e", "9a1a00cd76ca"]
    assert named({}) is None and named({"ranking": ranking}) == [ranking, None]
    assert named({"ratings": ratings}) == [None, ratings]
    assert named({"pairs": [1]}) == [None, None, {"pairs": [1]}], "newer kinds enter with their names"
    assert text_of(2, {}) != text_of(None, {}) != text_of(None, {"ranking": ranking})


@given(st.permutations(range(K)), st.integers(1, K))
def test_of_two_samples_the_liked_one_wins_and_a_tie_is_a_half(order: list[int], groups: int) -> None:
    ranking = [sorted(order[n::groups]) for n in range(groups)]
    assert favourite(None, {"ranking": ranking}, K) == ranking[0][0]
    assert won(None, {"ranking": [[1], [0]]}) == won(1, {}) == won(None, {"ratings": '{"overall":[2,5]}'}) == 0.0
    assert won(None, {"ranking": [[0, 1]]}) == won(None, {"ratings": '{"overall":[5,5]}'}) == won(None, {}) == 0.5
    assert won(0, {"ratings": '{"overall":[1,7]}'}) == 1.0, "a choice comes before ratings"


@pytest.mark.parametrize(
    ("best", "ranking", "ratings", "undecided"),
    [
        (2, None, None, False),
        (None, [[0, 1, 2, 3]], None, True),
        (None, [[0, 1], [2, 3]], None, False),
        (None, None, {"overall": [4, 4, 4, 4]}, True),
        (None, None, {"overall": [4, 4, 4, 4], "coverage": [1, 2, 3, 4]}, True),  # `overall` alone is a preference
        (None, None, {"accuracy": [7, 1, 1, 1], "coverage": [1, 7, 7, 7]}, True),  # the means are equal
        (None, None, {"overall": [4, 4, 5, 4]}, False),
        (None, [[0, 1, 2, 3]], {"overall": [4, 4, 4, 4]}, True),
        (None, [[0, 1, 2, 3]], {"overall": [4, 5, 4, 4]}, False),
        (1, None, {"overall": [4, 4, 4, 4]}, False),
    ],
)
def test_a_label_that_prefers_no_sample_is_undecided(
    best: int | None, ranking: list[list[int]] | None, ratings: dict[str, list[int]] | None, undecided: bool
) -> None:
    row = {"best_sample": best, "ranking": ranking, "ratings": None if ratings is None else compact(ratings)}
    decided = {"best_sample": 0, "ranking": None, "ratings": None}
    schema = pa.schema([LABEL.field(name) for name in row])
    assert count_undecided(pa.Table.from_pylist([row, decided, row], schema)) == 2 * undecided
