"""Making and deleting."""

from __future__ import annotations

import os

import pytest

from tests.unit.runner.files.helper_probe import FileFailure, HelperProbe


def test_a_directory_is_made_with_its_parents_and_again_without_error(files: HelperProbe):
    """Twice the same is no error."""
    for _ in range(2):
        assert files.ask("make_directory", "a/b/c")["entry"]["is_directory"]
    assert files.names() == ["a", "a/b", "a/b/c"]


def test_a_file_in_the_way_leaves_no_half_made_directories(files: HelperProbe):
    """What was made until then is removed."""
    files.upload("a/f")
    with pytest.raises(FileFailure) as failure:
        files.ask("make_directory", "a/f/g")
    assert failure.value.reason == "BAD_FIELD"
    assert files.names() == ["a", "a/f"]


def test_delete_takes_the_link_not_what_it_leads_to(files: HelperProbe):
    """Also a link to a directory, also recursively."""
    files.upload("d/f")
    (files.workspace / "l").symlink_to("d")
    files.ask("delete", "l", recursive=True)
    assert files.names() == ["d", "d/f"]


def test_a_directory_with_something_in_it_needs_recursive(files: HelperProbe):
    """DIRECTORY_NOT_EMPTY; an empty one does not."""
    files.upload("d/f")
    (files.workspace / "e").mkdir()
    with pytest.raises(FileFailure) as failure:
        files.ask("delete", "d", recursive=False)
    assert failure.value.reason == "DIRECTORY_NOT_EMPTY"
    files.ask("delete", "e", recursive=False)
    assert files.names() == ["d", "d/f"]


def test_a_recursive_delete_stops_at_links(files: HelperProbe):
    """What lies outside, and elsewhere in the workspace, stays."""
    files.upload("d/e/f")
    files.upload("keep")
    (files.workspace / "d/out").symlink_to(files.workspace.parent / "outside")
    (files.workspace / "d/e/in").symlink_to("../../keep")
    files.ask("delete", "d", recursive=True)
    assert files.names() == ["keep"]
    assert os.listdir(files.workspace.parent / "outside") == ["secret"]


def test_no_tree_is_too_deep_to_delete(files: HelperProbe):
    """Deeper than paths, recursion and descriptors reach."""
    (files.workspace / "d").mkdir()
    directory = os.open(files.workspace / "d", os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("x", dir_fd=directory)
        below = os.open("x", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(directory)
    files.ask("delete", "d", recursive=True)
    assert files.names() == []


def test_a_directory_closed_by_its_owner_is_deleted(files: HelperProbe):
    """Mode 000 inside a tree is no obstacle to the one who owns it."""
    files.upload("d/e/f")
    (files.workspace / "d/e").chmod(0)
    files.ask("delete", "d", recursive=True)
    assert files.names() == []


def test_clearing_empties_the_workspace_and_keeps_it(files: HelperProbe):
    """Hidden files, links and trees."""
    files.upload("a/b/c")
    files.upload(".hidden")
    (files.workspace / "l").symlink_to("/etc")
    files.ask("clear")
    assert files.names() == []
    assert files.workspace.is_dir()


@pytest.mark.parametrize("request_kind", ["format", "", None, 5])
def test_a_request_that_makes_no_sense_is_answered(files: HelperProbe, request_kind):
    """A fault of the supervisor's is named as one."""
    with pytest.raises(FileFailure) as failure:
        files.ask(request_kind, "x")
    assert failure.value.reason == "BUG"
