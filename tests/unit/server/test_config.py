"""Settings: their sources in order, their errors, and the file that comes with the project."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from sandbank_server.cli import app
from sandbank_server.config import Settings, default_data_dir
from sandbank_server.configuration.describe import effective, example_file
from sandbank_server.configuration.loading import (
    ConfigError,
    flag_of,
    load_settings,
    setting_keys,
    variable_of,
)
from sandbank_server.templates.model import SHIPPED_TEMPLATES
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file and no variable of the machine plays a part."""
    monkeypatch.chdir(tmp_path)
    for name in ("SANDBANK_CONFIG", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)


def written(tmp_path: Path, text: str) -> Path:
    """Write a file of settings."""
    path = tmp_path / "sandbank.toml"
    path.write_text(text)
    return path


def test_flags_go_before_environment_before_file_before_defaults(tmp_path: Path) -> None:
    """And each value knows where it came from."""
    path = written(
        tmp_path, 'pool_queue = 5\npool_wait = "5 s"\nmax_starting = 5\n[limits]\ncode_bytes = "5 KiB"\n'
    )
    loaded = load_settings(
        {"max_starting": "7"},
        environment={
            "SANDBANK_POOL_WAIT": "6s",
            "SANDBANK_MAX_STARTING": "6",
            "SANDBANK_LIMITS__OUTPUT_BYTES": "6MiB",
        },
    )
    settings = loaded.settings
    assert (settings.max_starting, settings.pool_wait, settings.pool_queue) == (7, timedelta(seconds=6), 5)
    assert (settings.limits.code_bytes, settings.limits.output_bytes) == (5 << 10, 6 << 20)
    assert settings.first_uid == 200_000
    assert loaded.file == path
    sources = {key: loaded.sources[key] for key in ("max_starting", "pool_wait", "pool_queue", "first_uid")}
    assert sources == {
        "max_starting": "--max-starting",
        "pool_wait": "SANDBANK_POOL_WAIT",
        "pool_queue": str(path),
        "first_uid": "default",
    }
    assert loaded.sources["limits.code_bytes"] == str(path)
    assert loaded.sources["limits.output_bytes"] == "SANDBANK_LIMITS__OUTPUT_BYTES"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("min_redy = 3", ["sandbank.toml", "min_redy", "did you mean min_ready"]),
        ("[limits]\ncode = 3", ["sandbank.toml", "limits.code", "did you mean"]),
        ("limits = 3", ["sandbank.toml", "limits", "table"]),
        ('min_ready = "many"', ["sandbank.toml", "min_ready", "slim=2"]),
        ("max_starting = 0", ["sandbank.toml", "max_starting"]),
        ('listen = "here"', ["sandbank.toml", "listen", "HOST:PORT"]),
        ('runtime = "kubernetes"', ["sandbank.toml", "runtime", "'docker'"]),
        ('pool_wait = "soon"', ["sandbank.toml", "pool_wait", "15 min"]),
        ("pool_wait = -1", ["sandbank.toml", "pool_wait", "at least"]),
        ('[limits]\ncode_bytes = "1 GB"', ["sandbank.toml", "limits.code_bytes", "512 MiB"]),
        ("[limits]\noperation_queue = 1.5", ["sandbank.toml", "limits.operation_queue"]),
        ("[templates.x]\nmemory = 1", ["sandbank.toml", "templates.x.memory"]),
        ("[templates.x]\ncpus = 1", ["sandbank.toml", "templates.x.cpus"]),
        ("[limits\n", ["sandbank.toml", "not TOML"]),
        ('[limits]\nlifetime = "48 h"', ["limits.lifetime", "limits.lifetime_max"]),
        ('default_template = "x"', ["default_template", "no template x"]),
        ('min_ready = "x=1"', ["min_ready", "no template x"]),
        ("min_ready = 9\nmax_total = 3", ["min_ready", "max_total", "9", "3"]),
        ('tls_key = "key.pem"', ["tls_certificate", "tls_key"]),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_key(tmp_path: Path, text: str, parts: list[str]) -> None:
    """An operator can find it without a traceback."""
    written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(environment={})
    for part in parts:
        assert part in str(caught.value)


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    """Bad values are errors; a variable that is no setting is only told, as the prefix is shared."""
    with pytest.raises(ConfigError, match="SANDBANK_MAX_STARTING: max_starting"):
        load_settings(environment={"SANDBANK_MAX_STARTING": "x"})
    with pytest.raises(ConfigError, match="SANDBANK_LIMITS: must be JSON"):
        load_settings(environment={"SANDBANK_LIMITS": "{"})
    with pytest.raises(ConfigError, match=r"SANDBANK_LIMITS__CODE: there is no setting limits\.code"):
        load_settings(environment={"SANDBANK_LIMITS__CODE": "1"})
    loaded = load_settings(
        environment={
            "SANDBANK_MIN_REDY": "1",
            "SANDBANK_ADDRESS": "x",
            "SANDBANK_ROOT_CERTIFICATES": "y",
            "SANDBANK_DOCKERD_ARGS": "",
        }
    )
    assert loaded.unknown_variables == ("SANDBANK_MIN_REDY",)


def test_a_template_can_be_changed_by_a_variable() -> None:
    """One key of one template, without a warning."""
    loaded = load_settings(environment={"SANDBANK_TEMPLATES__SLIM__MEMORY": "1 GiB"})
    assert loaded.settings.templates["slim"].memory_bytes == 1 << 30
    assert loaded.unknown_variables == ()


def test_the_engine_is_the_one_that_docker_host_names(tmp_path: Path) -> None:
    """Unless a setting names another: DOCKER_HOST is the weakest source but the default."""
    environment = {"DOCKER_HOST": "unix:///elsewhere.sock"}
    loaded = load_settings(environment=environment)
    assert loaded.settings.engine_url == "unix:///elsewhere.sock"
    assert loaded.sources["engine_url"] == "DOCKER_HOST"
    loaded = load_settings(environment={**environment, "SANDBANK_ENGINE_URL": "unix:///ours.sock"})
    assert loaded.settings.engine_url == "unix:///ours.sock"


def test_paths_start_where_they_are_written(tmp_path: Path) -> None:
    """In a file, its folder; in a flag or a variable, where the command runs. Always absolute."""
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc/settings.toml"
    path.write_text('data_dir = "data"\n')
    assert load_settings(file=path, environment={}).settings.data_dir == tmp_path / "etc/data"
    assert (
        load_settings(file=path, environment={"SANDBANK_DATA_DIR": "here"}).settings.data_dir
        == tmp_path / "here"
    )
    assert load_settings(environment={"SANDBANK_CONFIG": str(path)}).file == path
    with pytest.raises(ConfigError, match="no file"):
        load_settings(file=tmp_path / "missing.toml", environment={})


def test_a_users_data_is_in_their_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's is the system's."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_data_dir({}) == Path("/var/lib/sandbank")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert default_data_dir({"XDG_DATA_HOME": "/x"}) == Path("/x/sandbank")
    assert default_data_dir({"XDG_DATA_HOME": "relative"}) == Path.home() / ".local/share/sandbank"


@pytest.mark.parametrize(
    ("text", "slim", "data"),
    [("3", 0, 3), ("slim=2,data=0", 2, 0), ("slim=2", 2, 0), (" slim = 2 , data = 5 ", 2, 5)],
)
def test_warm_sandboxes_are_counted_per_template(text: str, slim: int, data: int) -> None:
    """A lone number is the default template's; templates that are not named have none."""
    settings = load_settings({"min_ready": text}, environment={}).settings
    assert (settings.min_ready_of("slim"), settings.min_ready_of("data")) == (slim, data)


@pytest.mark.parametrize("text", ["", "-1", "slim", "slim=", "slim=x", "slim=1,slim=2", "=3x", "1.5", "²"])
def test_what_is_no_number_per_template_is_refused(text: str) -> None:
    """Also what int() would take."""
    with pytest.raises(ConfigError, match="min_ready"):
        load_settings({"min_ready": text}, environment={})


def test_templates_are_added_to_those_that_come_with_it(tmp_path: Path) -> None:
    """And change them; requirements are looked up beside the file."""
    (tmp_path / "more.txt").write_text("polars\n")
    written(tmp_path, '[templates.mine]\nrequirements = "more.txt"\n[templates.slim]\nmemory = "1 GiB"\n')
    loaded = load_settings(environment={})
    assert set(loaded.settings.templates) == {"slim", "data", "mine"}
    assert loaded.settings.templates["slim"].memory_bytes == 1 << 30
    assert loaded.settings.templates["mine"].requirements == tmp_path / "more.txt"
    assert loaded.sources["templates.data"] == "default"
    assert loaded.sources["templates.mine"] == str(tmp_path / "sandbank.toml")


def test_settings_cannot_be_changed() -> None:
    """They are frozen, groups included."""
    settings = Settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.listen = "x:1"
    with pytest.raises(ValueError, match="frozen"):
        settings.limits.code_bytes = 1


def test_the_file_of_the_project_is_the_defaults() -> None:
    """sandbank.toml covers every key, says what each means, and changes nothing."""
    text = (ROOT / "sandbank.toml").read_text()
    assert text == example_file(), "run: sandbank config --example > sandbank.toml"
    uncommented = re.sub(r"(?m)^#(?=[a-z_\[])", "", text)
    table = tomllib.loads(uncommented)
    groups = ("limits", "images", "checkpoints")
    keys = {f"{group}.{key}" for group in groups for key in table[group]}
    keys |= {key for key in table if key not in (*groups, "templates")}
    assert keys == set(setting_keys())
    assert set(table["templates"]) == set(SHIPPED_TEMPLATES)


def test_the_file_of_the_project_uncommented_loads_as_the_defaults(tmp_path: Path) -> None:
    """So each example is a valid value, and the default."""
    text = re.sub(r"(?m)^#(?=[a-z_\[])", "", (ROOT / "sandbank.toml").read_text())
    path = written(tmp_path, text)
    loaded = load_settings(file=path, environment={}).settings
    own = {"data_dir", "images"}  # where these are differs from user to user
    assert loaded.model_dump(exclude=own) == Settings().model_dump(exclude=own)
    assert loaded.images.model_dump(exclude={"cache_dir"}) == Settings().images.model_dump(
        exclude={"cache_dir"}
    )
    written(tmp_path, (ROOT / "sandbank.toml").read_text())
    assert set(load_settings(environment={}).sources.values()) == {"default"}


def run(*arguments: str) -> tuple[int, str]:
    """Run a command; return its exit code and all that it printed."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})
    return result.exit_code, result.output


@pytest.mark.parametrize("key", [key for key in setting_keys() if "." not in key])
def test_every_setting_has_a_flag_a_variable_and_a_key(key: str) -> None:
    """The help of `serve` names flag and variable."""
    code, text = run("serve", "--help")
    assert code == 0
    assert flag_of(key) in text
    assert f"[{variable_of(key)}]" in text


def test_config_shows_values_and_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a table and as JSON; secrets are masked."""
    monkeypatch.setenv("SANDBANK_CATALOG_URL", "postgresql+psycopg://user:hunter2@host/db")
    monkeypatch.setenv("SANDBANK_TEMPLATES", json.dumps({"slim": {"environment": {"KEY": "hunter2"}}}))
    code, text = run("config", "--pool-queue", "7", "--set", "limits.code_bytes=2 MiB", "--json")
    assert code == 0
    shown = json.loads(text)
    assert shown["pool_queue"] == {"value": 7, "source": "--pool-queue"}
    assert shown["limits.code_bytes"] == {"value": "2 MiB", "source": "--set limits.code_bytes"}
    assert shown["catalog_url"]["value"] == "postgresql+psycopg://user:***@host/db"
    assert shown["templates.slim"]["value"]["environment"] == {"KEY": "***"}
    assert "hunter2" not in text
    code, text = run("config")
    assert code == 0
    assert "hunter2" not in text
    assert re.search(r"catalog_url .*SANDBANK_CATALOG_URL", text)


def test_what_config_shows_can_be_read_back() -> None:
    """Values are written as they would be read."""
    loaded = load_settings(
        {"pool_wait": "90 s", "limits.code_bytes": 1234567, "min_ready": "slim=1"}, environment={}
    )
    flags = {item.key: item.value for item in effective(loaded) if not item.key.startswith("templates.")}
    again = load_settings(flags, environment={})
    assert again.settings == loaded.settings


def test_a_wrong_flag_ends_the_command_with_a_clear_error() -> None:
    """Exit code 2, no traceback."""
    for arguments in (["--min-ready", "x"], ["--set", "limits.code_bytes"], ["--set", "limits.nothing=1"]):
        code, text = run("config", *arguments)
        assert code == 2, text
        assert text.startswith("error: ")
        assert "Traceback" not in text
