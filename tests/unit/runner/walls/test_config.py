"""The sandbox's configuration: what is taken, what is refused, and what user code's environment becomes."""

from __future__ import annotations

import json

import pytest
from sandbank_runner.supervisor.config import ConfigError, parse, take_from_environment
from sandbank_runner.template.environment import execution_environment, settle, user_environment
from sandbank_runner.walls.users import Users

LEAST = {"sandbox_id": "sb-1", "mode": "local", "socket_path": "/run/s", "workspace": "/w"}
CONTAINER = {**LEAST, "mode": "container", "users": [11, 12, 13, 14]}


def test_the_variable_is_taken_out_of_the_environment():
    """Nothing that is started later sees it."""
    environment = {"SANDBANK_SANDBOX": json.dumps(CONTAINER), "A": "b"}
    config = take_from_environment(environment)
    assert environment == {"A": "b"}
    assert config.users == Users(11, 12, 13, 14)
    assert (config.process_limit, config.cpu_count, config.open_files_limit) == (128, 1.0, 1024)
    assert (config.orphan_seconds, config.temporary, config.preload) == (86400.0, "/tmp", ())


def test_a_configuration_survives_the_way_to_the_template():
    """What `configure` carries is what was parsed."""
    config = parse({**CONTAINER, "preload": ["a.b"], "cpu_count": 2, "environment": {"X": "é"}})
    assert parse(json.loads(json.dumps(config.to_message()))) == config


def test_unknown_fields_are_left_alone():
    """A newer control plane may say more."""
    assert parse({**LEAST, "colour": "red"}) == parse(LEAST)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null", "[" * 100_000])
def test_a_variable_that_is_no_object_is_refused(text: str | None):
    """Missing, malformed, of another type."""
    with pytest.raises(ConfigError, match="SANDBANK_SANDBOX"):
        take_from_environment({} if text is None else {"SANDBANK_SANDBOX": text})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sandbox_id", None), ("sandbox_id", ""), ("sandbox_id", "a\0"), ("mode", "vm"), ("mode", None),
        ("socket_path", "relative"), ("workspace", 5), ("temporary", "tmp"),
        ("users", None), ("users", [1, 2, 3]), ("users", [0, 2, 3, 4]), ("users", [2, 2, 3, 4]),
        ("users", [65534, 2, 3, 4]), ("users", ["1", 2, 3, 4]), ("users", [True, 2, 3, 4]),
        ("users", [2**32 - 1, 2, 3, 4]),
        ("process_limit", 0), ("process_limit", "5"), ("process_limit", True), ("process_limit", 1.5),
        ("open_files_limit", 250), ("cpu_count", 0), ("cpu_count", -1), ("cpu_count", float("nan")),
        ("cpu_count", float("inf")), ("cpu_count", True), ("orphan_seconds", 0),
        ("preload", "numpy"), ("preload", ["a b"]), ("preload", ["../x"]), ("preload", [""]), ("preload", [5]),
        ("environment", []), ("environment", {"A=": "b"}), ("environment", {"": "b"}), ("environment", {"A": 5}),
        ("environment", {"A": "b\0"}),
    ],
)  # fmt: skip
def test_a_malformed_field_is_named(field: str, value: object):
    """Each by its name, none of them guessed at."""
    with pytest.raises(ConfigError, match=field):
        parse({**CONTAINER, field: value})


def test_user_code_sees_nothing_of_the_supervisors_environment():
    """But what an image sets for all that runs in it."""
    inherited = {"PATH": "/opt/bin", "TZ": "UTC", "SECRET": "s", "PYTHONPATH": "/src", "HOME": "/root"}
    environment = user_environment(parse(LEAST), inherited)
    assert environment["PATH"] == "/opt/bin"
    assert environment["TZ"] == "UTC"
    assert environment["HOME"] == "/w"
    assert environment["SANDBANK_SANDBOX_ID"] == "sb-1"
    assert not {"SECRET", "PYTHONPATH", "SANDBANK_SANDBOX"} & environment.keys()


def test_numeric_libraries_keep_to_one_thread_unless_the_template_says_otherwise():
    """The template's own settings win."""
    config = parse({**LEAST, "environment": {"OMP_NUM_THREADS": "2", "PATH": "/mine"}})
    environment = user_environment(config, {"OPENBLAS_NUM_THREADS": "8", "PATH": "/image"})
    assert environment["OPENBLAS_NUM_THREADS"] == "1"
    assert environment["OMP_NUM_THREADS"] == "2"
    assert environment["PATH"] == "/mine"


def test_python_finds_the_runner_and_user_code_does_not_see_how():
    """What the template is executed with is taken back before anything is preloaded."""
    config = parse({**LEAST, "environment": {"PYTHONPATH": "/packages"}})
    inherited = {"PATH": "/bin", "PYTHONPATH": "/src"}
    environment = execution_environment(config, inherited)
    assert environment["PYTHONPATH"] == "/src:/packages"
    assert environment["PYTHONNOUSERSITE"] == "1"
    settle(config, environment)
    assert environment == user_environment(config, inherited)
    plain = execution_environment(parse(LEAST), {})
    settle(parse(LEAST), plain)
    assert plain == user_environment(parse(LEAST), {})
