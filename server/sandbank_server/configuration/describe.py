"""Settings for people: each with its source, secrets masked; and the example file with every key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

from pydantic.fields import FieldInfo

from sandbank_server.config import Settings
from sandbank_server.configuration.loading import GROUPS, Loaded, flag_of, setting_keys, variable_of
from sandbank_server.templates.model import MIB, SHIPPED_TEMPLATES, TemplateSpec

MASK: Final = "***"
_PASSWORD: Final = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+@")
_DEPENDS: Final = {
    # Defaults that differ from user to user; an example of each.
    "data_dir": "/var/lib/sandbank",
    "images.cache_dir": "/var/cache/sandbank",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One effective setting."""

    key: str
    value: Any
    source: str


def field_of(key: str) -> FieldInfo:
    """Return the field of a dotted key."""
    group, _, name = key.rpartition(".")
    return (GROUPS[group] if group else Settings).model_fields[name]


def effective(loaded: Loaded) -> Iterator[Shown]:
    """Yield every effective setting, written as it would be read, secrets masked."""
    tree = loaded.settings.model_dump(mode="json", exclude={"templates"})
    for key in setting_keys():
        yield Shown(key, _masked(_value(tree, key)), loaded.sources[key])
    for name, spec in loaded.settings.templates.items():
        yield Shown(f"templates.{name}", _template(spec), loaded.sources[f"templates.{name}"])


def example_file() -> str:
    """Return `sandbank.toml`: every key with its default, commented out, under what it means."""
    lines = [
        "# The settings of Sandbank's control plane, with their defaults.",
        "#",
        "# Each can be given here, in the environment (SANDBANK_ and the key in capitals, the group's name before two",
        f"# underscores: {variable_of('limits.code_bytes')}) or by a flag (--min-ready 4; those of the",
        f"# groups by {flag_of('limits.code_bytes')}=...). A flag counts before the environment, that before this",
        "# file. `sandbank config` shows what is in force and where each value came from.",
        "#",
        "# The file is looked for as ./sandbank.toml, then /etc/sandbank/sandbank.toml, unless --config or",
        '# SANDBANK_CONFIG names another. Relative paths start where it is. Sizes: bytes or "512 MiB". Durations:',
        '# seconds or "500 ms", "15 min", "24 h".',
    ]
    tree = Settings().model_dump(mode="json", exclude={"templates"})
    group = ""
    for key in setting_keys():
        if key.rpartition(".")[0] != group:
            group = key.rpartition(".")[0]
            lines += ["", "", f"# {' '.join((GROUPS[group].__doc__ or '').split())}", f"[{group}]"]
        lines.append("")
        lines += wrap(field_of(key).description or "", 104, initial_indent="# ", subsequent_indent="# ")
        lines.append(f"#{key.rpartition('.')[2]} = {_toml(_DEPENDS.get(key, _value(tree, key)))}")
    lines += _example_templates()
    return "\n".join(lines) + "\n"


def _example_templates() -> list[str]:
    lines = [
        "",
        "",
        "# The kinds of sandbox: [templates.NAME]. Two come with Sandbank; what stands here changes them or adds",
        "# others. `packages` are locked when the image is first built; `requirements` is a locked file instead.",
        "# `preload` lists modules that every interpreter finds imported. `memory` is all that a sandbox may use,",
        "# workspace and /tmp included.",
    ]
    for name, spec in SHIPPED_TEMPLATES.items():
        lines += ["", f"#[templates.{name}]"]
        lines += [
            f"#{key} = {_toml(value)}" for key, value in _template(spec).items() if key != "environment"
        ]
        lines.append("#environment = {}")
    return lines


def _value(tree: Mapping[str, Any], key: str) -> Any:
    group, _, name = key.rpartition(".")
    return (tree[group] if group else tree)[name]


def _masked(value: Any) -> Any:
    return _PASSWORD.sub(rf"\1:{MASK}@", value) if isinstance(value, str) else value


def _template(spec: TemplateSpec) -> dict[str, Any]:
    requirements = spec.requirements
    shipped = requirements is not None and requirements == _shipped_requirements(spec.name)
    return {
        "base": spec.base,
        "packages": list(spec.packages),
        "requirements": f"sandbank:{requirements.stem}"
        if shipped and requirements
        else str(requirements or ""),
        "preload": list(spec.preload),
        "memory": f"{spec.memory_bytes // MIB} MiB",
        "cpu_count": spec.cpu_count,
        "process_limit": spec.process_limit,
        "workspace": f"{spec.workspace_bytes // MIB} MiB",
        # The values may be secrets.
        "environment": dict.fromkeys(spec.environment, MASK),
        "network": spec.network,
    }


def _shipped_requirements(name: str) -> Path | None:
    spec = SHIPPED_TEMPLATES.get(name)
    return None if spec is None else spec.requirements


def _toml(value: Any) -> str:
    # What the settings hold is written alike in JSON and TOML: texts, numbers, truth values, lists of
    # texts.
    return json.dumps(value, ensure_ascii=False)
