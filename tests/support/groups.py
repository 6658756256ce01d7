"""The groups of tests, which one run of pytest can have together: the longest first, and none of them empty."""

import pytest

# In the order in which they start: the short tests come last and fill what is left on either core. Tests of flows stand
# together, so that one of the workers needs Prefect's server and the other seldom does.
LONGEST_FIRST = ("deployments", "flow", "mutation", "reliability", "browser", "exchange", "slow", "unmarked")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--groups",
        default="",
        metavar="MARKERS",
        help="fail if one of these markers, separated by commas, has no test in this run; unmarked: tests with none",
    )


@pytest.hookimpl(trylast=True)  # what -m deselects is gone by then
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    groups = {item: _groups(item) for item in items}
    items.sort(key=lambda item: min(map(LONGEST_FIRST.index, groups[item])))
    for group in filter(None, session.config.getoption("--groups").split(",")):
        if not any(group in of_item for of_item in groups.values()):
            items.append(NoTest.from_parent(session, name=f"no test is marked {group}"))


def _groups(item: pytest.Item) -> set[str]:
    return {mark.name for mark in item.iter_markers()} & set(LONGEST_FIRST) or {"unmarked"}


class NoTest(pytest.Item):
    """Fails in the place of the tests that a group should have."""

    def runtest(self) -> None:
        pytest.fail(f"{self.name}: a group without tests shows nothing", pytrace=False)
