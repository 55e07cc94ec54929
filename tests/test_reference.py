"""The reference is made of the code, and the committed page is the one that the code makes now."""

import tomllib
from pathlib import Path

import pytest

from gossipnet.config import Experiment, options
from gossipnet.reference import entries, form, options_page, template
from gossipnet.settings import REGISTRIES, registry

PAGE = Path(__file__).parents[1] / "docs" / "options.md"


def test_the_committed_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == options_page() + "\n", "run: gossipnet list options > docs/options.md"


def test_the_page_has_every_option_and_every_value():
    page = options_page()
    for known in options():
        assert f"`{known.dotted}`" in page
    for plural in REGISTRIES:
        assert all(f"| `{form}` |" in page for form, _ in entries(plural, own=True))


def test_the_template_is_an_experiment_of_all_defaults_explained():
    text = template()
    assert Experiment.from_toml(text) == Experiment()
    assert sum(len(table) for table in tomllib.loads(text).values()) == len(options())
    comments = " ".join(line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
    for known in options():
        assert f"{known.help} values: {known.check.expected}" in comments
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("plural", REGISTRIES)
def test_every_name_has_a_description_and_its_form_can_be_parsed(plural):
    known = registry(plural)
    for name in known.names():
        if not known.factory(name).__module__.startswith("gossipnet."):
            continue
        assert known.describe()[name].endswith(".")
        if "=," not in form(plural, name) and not form(plural, name).endswith("="):  # an option without a default
            assert known.parse(form(plural, name))[0] == name


def test_names_of_others_are_listed_but_not_in_the_page():
    @registry("codecs").register("reference-test")
    def mine(): ...

    try:
        assert "reference-test" in [n for n, _ in entries("codecs")]
        assert "reference-test" not in [n for n, _ in entries("codecs", own=True)]
    finally:
        del registry("codecs")._factories["reference-test"]


def test_the_catalogue_is_listed_with_the_topologies():
    assert {"ring", "regular:d=4"} <= {n for n, _ in entries("topologies")}
    assert len(entries("topologies")) > len(registry("topologies").names())
