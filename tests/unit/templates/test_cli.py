"""`sandbank templates` answers people, and programs with --json."""

from __future__ import annotations

import json

import pytest
from sandbank_server.templates import cli
from sandbank_server.templates.cli import TemplateSettings, templates_app
from sandbank_server.templates.errors import ImageEngineError, TemplateBuildError
from sandbank_server.templates.images import PACKAGES_LABEL, PYTHON_LABEL, TEMPLATE_LABEL, find_image
from sandbank_server.templates.model import TemplateSpec
from sandbank_server.templates.options import BuildOptions
from sandbank_server.templates.progress import BuildPhase, BuildProgress
from typer.testing import CliRunner

from tests.fakes.image_engine import FakeImageEngine


@pytest.fixture
def engine(monkeypatch):
    """An engine with an image of one of the two templates."""
    fake = FakeImageEngine()
    fake.add("sandbank-a:1", {TEMPLATE_LABEL: "a", PYTHON_LABEL: "3.13.5", PACKAGES_LABEL: '{"six": "1.17"}'})
    monkeypatch.setattr(cli.ImageEngine, "connect", lambda: fake)
    return fake


@pytest.fixture
def run(tmp_path):
    """Run a command."""
    templates = {"a": TemplateSpec("a", environment={"TOKEN": "secret"}), "b": TemplateSpec("b")}
    app = templates_app(lambda: TemplateSettings(templates, BuildOptions(tmp_path), "a"))
    return lambda *words: CliRunner().invoke(app, words)


def test_list_shows_every_template(run, engine):
    """Built or not, and which is the default."""
    lines = run("list").stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["a", "(default)", "sandbank-a:1"],
        ["b", "not", "built"],
    ]


def test_list_works_without_an_engine(run, monkeypatch):
    """The settings are worth seeing then, too."""

    def refuse():
        raise ImageEngineError("none")

    monkeypatch.setattr(cli.ImageEngine, "connect", refuse)
    result = run("list", "--json")
    assert [(row["name"], row["image"]) for row in json.loads(result.stdout)] == [("a", None), ("b", None)]


def test_show_lists_the_packages_and_hides_values_of_variables(run, engine):
    """An environment may hold secrets; its names do not."""
    result = run("show", "a")
    assert result.exit_code == 0
    assert "six==1.17" in result.stdout
    assert "TOKEN" in result.stdout
    shown = json.loads(run("show", "a", "--json").stdout)
    assert shown["image"]["packages"] == {"six": "1.17"}
    assert "secret" not in result.stdout + json.dumps(shown)


def test_build_builds_what_is_named_or_all(run, engine, monkeypatch):
    """Phases on standard error, one line each; the result on standard output."""
    built = []

    def build(fake, spec, options, *, on_progress):
        built.append(spec.name)
        for detail in ("", "one", "two"):
            on_progress(BuildProgress(spec.name, BuildPhase.INSTALLING, detail))
        return find_image(fake, "sandbank-a:1")

    monkeypatch.setattr(cli, "build_template", build)
    result = run("build")
    assert built == ["a", "b"]
    assert result.stderr.splitlines() == ["a: installing the packages", "b: installing the packages"]
    assert result.stdout.splitlines()[0].startswith("a: sandbank-a:1 (Python 3.13.5")
    assert json.loads(run("build", "b", "--json").stdout)[0]["reference"] == "sandbank-a:1"
    assert built == ["a", "b", "b"]


def test_an_unknown_template_is_named_with_those_there_are(run, engine):
    """Exit code 1 and no traceback."""
    result = run("build", "nope")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no template nope; there are a, b" in result.stderr


def test_a_failed_build_shows_the_log(run, engine, monkeypatch):
    """Whoever runs it sees why."""

    def build(*_, **__):
        raise TemplateBuildError("it broke", ["line one", "[line] two"])

    monkeypatch.setattr(cli, "build_template", build)
    result = run("build", "a")
    assert result.exit_code == 1
    assert "error: it broke\n  | line one\n  | [line] two" in result.stderr
