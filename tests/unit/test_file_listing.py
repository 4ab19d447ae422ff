"""Parts of a tree, and what holds of what cannot be read."""

import errno

import pytest

from inotifier.sources.base import changes
from inotifier.sources.listing import Listing, Part

OLD, NEW = (1, 1, 1, 1), (2, 2, 2, 2)


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/r/file", True),
        ("/r/file/below", False),
        ("/r/a", True),
        ("/r/a/b/c", True),
        ("/r/a-", False),
        ("/r/a0/b", False),
        ("/r/a b/c", True),
        ("/r", False),
    ],
)
def test_what_is_in_a_part(path, inside):
    part = Part(["/r/file"], ["/r/a", "/r/a b"])
    assert (path in part) == inside


def test_a_part_names_nothing_twice():
    part = Part(["/r/a/b/file", "/r/a-b", "/r/a"], ["/r/a/b", "/r/a-", "/r/a", "/r/a-/c"])
    assert sorted(part.tops) == ["/r/a", "/r/a-"]
    assert part.paths == {"/r/a-b"}


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EACCES, errno.ETIMEDOUT])
def test_of_what_cannot_be_read_the_last_that_is_known_holds(number):
    found = Listing()
    found.files["/r/a/read before"] = NEW
    found.failed("/r/a", OSError(number, "reason"))
    found.failed("/r/file", OSError(number, "reason"))
    known = dict.fromkeys(["/r/a/read before", "/r/a/b/c", "/r/a-", "/r/file", "/r/gone"], OLD)
    found.keep(known)
    assert found.files == {"/r/a/read before": NEW, "/r/a/b/c": OLD, "/r/file": OLD}


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.ELOOP])
def test_what_vanishes_while_it_is_looked_at_is_gone(number):
    found = Listing()
    found.failed("/r/a", OSError(number, "reason"))
    found.keep({"/r/a": OLD, "/r/a/b": OLD})
    assert not found.files
    assert not found.unread


def test_changes():
    before = {"d": OLD, "c": OLD, "b": OLD, "a": OLD}
    now = {"f": OLD, "b": NEW, "e": OLD, "a": OLD}
    assert changes(before, now) == [
        ("c", "deleted"),
        ("d", "deleted"),
        ("b", "modified"),
        ("e", "created"),
        ("f", "created"),
    ]
