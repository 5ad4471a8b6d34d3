"""System call numbers are those of the kernel's own headers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sandbank_runner.walls.numbers import NUMBERS, number_on

HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"),
    "aarch64": ("/usr/include/asm-generic/unistd.h",),
}


@pytest.mark.parametrize("machine", HEADERS)
def test_numbers_are_those_of_the_kernels_headers(machine: str):
    """Every number that the headers know; those of calls newer than the headers are left alone."""
    paths = [Path(path) for path in HEADERS[machine] if Path(path).exists()]
    if not paths:
        pytest.skip("the kernel's headers (linux-libc-dev) are not installed")
    text = paths[0].read_text()
    found = {name: int(number) for name, number in re.findall(r"#define __NR3?2?64?_?(\w+)\s+(\d+)\s", text)}
    found |= {name: int(number) for name, number in re.findall(r"#define __NR_(\w+)\s+(\d+)\s", text)}
    compared = 0
    for name in NUMBERS:
        if name in found:
            assert number_on(machine, name) == found[name], name
            compared += 1
        elif number_on(machine, name) is not None:
            assert number_on(machine, name) >= 424, f"{name} is not in the headers of {machine}"
    assert compared > 70


def test_the_two_machines_agree_from_424_on():
    """The kernel gives new calls one number everywhere."""
    for name, (first, second) in NUMBERS.items():
        if (first or 0) >= 424 or (second or 0) >= 424:
            assert first == second, name
