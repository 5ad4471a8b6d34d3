"""Templates from configuration are checked value by value."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbank_server.templates.errors import TemplateConfigError
from sandbank_server.templates.model import GIB, LOCKS, MIB, SHIPPED_TEMPLATES, TemplateSpec
from sandbank_server.templates.settings import template_from_mapping, templates_from_mapping

HERE = Path(__file__).parent


def make(table, name="mine"):
    """Make a template from its table."""
    return template_from_mapping(name, table, directory=HERE)


def test_an_empty_table_has_the_general_defaults():
    """What is not said is what the API's limits say."""
    assert make({}) == TemplateSpec(
        "mine", memory_bytes=512 * MIB, cpu_count=1.0, process_limit=128, workspace_bytes=256 * MIB
    )


def test_a_shipped_template_keeps_what_its_table_leaves_out():
    """`[templates.data] memory = "4 GiB"` changes the memory and nothing else."""
    spec = make({"memory": "4 GiB"}, "data")
    assert spec.memory_bytes == 4 * GIB
    assert spec.requirements == LOCKS / "data.txt"
    assert spec.preload == ("numpy", "pandas")


def test_packages_replace_the_shipped_requirements():
    """A template has packages or a requirements file, also when the shipped one had the other."""
    spec = make({"packages": ["polars"]}, "data")
    assert (spec.packages, spec.requirements) == (("polars",), None)


def test_every_key_is_taken():
    """All keys together, each in its plainest form."""
    spec = make(
        {
            "base": "registry.example:5000/python:3.12-slim",
            "packages": ["polars", "pandas>=3,<4", "scikit-learn[alldeps]==1.9.*"],
            "preload": ["numpy", "matplotlib.pyplot"],
            "memory": 3 * GIB,
            "cpu_count": 2,
            "process_limit": 64,
            "workspace": "1.5 GiB",
            "environment": {"TZ": "Europe/Berlin"},
            "network": "none",
        }
    )
    assert spec == TemplateSpec(
        name="mine",
        base="registry.example:5000/python:3.12-slim",
        packages=("polars", "pandas>=3,<4", "scikit-learn[alldeps]==1.9.*"),
        preload=("numpy", "matplotlib.pyplot"),
        memory_bytes=3 * GIB,
        cpu_count=2.0,
        process_limit=64,
        workspace_bytes=1536 * MIB,
        environment={"TZ": "Europe/Berlin"},
    )


def test_a_requirements_file_is_looked_up_beside_the_configuration():
    """A relative path is relative to sandbank.toml, not to wherever the server was started."""
    assert make({"requirements": Path(__file__).name}).requirements == Path(__file__)
    assert make({"requirements": "sandbank:data"}).requirements == LOCKS / "data.txt"


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"memroy": 1}, "templates.mine.memroy: no such key"),
        ({"memory": "lots"}, "templates.mine.memory: must be a size"),
        ({"memory": "1 MiB"}, "from 128 MiB"),
        ({"memory": True}, "must be a size"),
        ({"memory": "9" * 14 + " TiB"}, "must be a size"),
        ({"cpu_count": 0}, "from 0.1 to 256"),
        ({"cpu_count": float("nan")}, "from 0.1 to 256"),
        ({"cpu_count": "2"}, "from 0.1 to 256"),
        ({"process_limit": 3}, "from 4 to 4096"),
        ({"process_limit": 8.0}, "whole number"),
        ({"workspace": "512 MiB"}, "must be smaller"),
        ({"network": "bridge"}, "must be one of none"),
        ({"packages": "polars"}, "must be a list"),
        ({"packages": ["--index-url=x"]}, "packages[0]"),
        ({"packages": ["polars", "x @ file:///etc/passwd"]}, "packages[1]"),
        ({"packages": ["a\nb"]}, "packages[0]"),
        ({"packages": ["polars"], "requirements": "sandbank:data"}, "not both"),
        ({"requirements": "missing.txt"}, "there is no file"),
        ({"requirements": "sandbank:../../x"}, "is not shipped"),
        ({"requirements": "a\0b"}, "must be the path"),
        ({"preload": ["os; import x"]}, "preload[0]: must be the name of a module"),
        ({"preload": [""]}, "preload[0]"),
        ({"preload": ["class"]}, "preload[0]"),
        ({"environment": {"A=B": "x"}}, "is no name for a variable"),
        ({"environment": {"SANDBANK_SANDBOX": "x"}}, "is no name for a variable"),
        ({"environment": {"A": "x\0"}}, "without null characters"),
        ({"base": "UPPER CASE"}, "must be the name of an image"),
    ],
)
def test_a_wrong_value_is_refused_by_name(table, complaint):
    """The message names the key, says what it takes and shows what was there."""
    with pytest.raises(TemplateConfigError) as caught:
        make(table)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("templates.mine")


def test_the_value_of_a_variable_is_in_no_message():
    """The environment may hold secrets."""
    with pytest.raises(TemplateConfigError) as caught:
        make({"environment": {"TOKEN": "secret\0value"}})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a" * 41, "a/b", "ä"])
def test_a_name_is_part_of_an_image_name(name):
    """So it has only what such names may have."""
    with pytest.raises(TemplateConfigError, match="1 to 40 characters"):
        make({}, name)


@given(
    st.dictionaries(
        st.text(max_size=12), st.none() | st.integers() | st.text() | st.lists(st.text()), max_size=4
    )
)
def test_whatever_is_configured_gives_a_template_or_a_clear_error(table):
    """No value leads to any other exception."""
    known = ["memory", "workspace", "cpu_count", "packages", "preload", "environment", "base", "requirements"]
    named = dict(zip(known, table.values(), strict=False))
    for candidate in (table, named):
        with contextlib.suppress(TemplateConfigError):
            assert isinstance(make(candidate), TemplateSpec)


def test_configured_templates_join_the_shipped_ones():
    """`slim` and `data` are there without being mentioned."""
    templates = templates_from_mapping({"mine": {}}, directory=HERE)
    assert set(templates) == {"slim", "data", "mine"}
    assert templates["slim"] == SHIPPED_TEMPLATES["slim"]


def test_a_template_must_be_a_table():
    """`templates.mine = 3` is a mistake."""
    with pytest.raises(TemplateConfigError, match=r"templates\.mine: must be a table"):
        templates_from_mapping({"mine": 3}, directory=HERE)
