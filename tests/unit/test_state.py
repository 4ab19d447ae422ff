import contextlib
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inotifier.state import Ledger, Seen, State
from tests.waiting import wait_for

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

ROOT = "/srv/in"
FILE = Seen(7, 100, 1_700_000_000_123_456_789, stat.S_IFREG, True)
OTHER = Seen(8, 0, 5, stat.S_IFREG, False)
DIRECTORY = Seen(9, 4096, 6, stat.S_IFDIR, True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "inotifier.state"


@pytest.fixture
def opened():
    """Open states that are closed at the end."""
    states = []

    def opened(path: Path) -> State:
        states.append(State(path))
        states[-1].open()
        return states[-1]

    yield opened
    for state in states:
        state.close()


@pytest.fixture
def state(opened, path):
    return opened(path)


@pytest.fixture
def ledger(state):
    return state.ledger("in", ROOT)


NEVER = -1.0


def first_seen(ledger: Ledger, *, below: bool = False) -> float:
    return ledger.first_seen(NEVER, below=below)


def others(ledger: Ledger, visited: Collection[str]) -> list[tuple[str, Seen]]:
    """What is recorded outside of `visited`, once it is written."""
    ledger.flush()
    return list(ledger.others(visited))


def rows(path: Path, sql: str = "SELECT name FROM files") -> list[tuple]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


# What a path looked like.


def test_a_file_is_the_same_until_its_content_changes(tmp_path):
    file = tmp_path / "file"
    file.write_text("a")
    seen = Seen.of(file.stat())
    assert seen == (file.stat().st_ino, 1, file.stat().st_mtime_ns, stat.S_IFREG, True)
    file.chmod(0o600)
    assert seen.same(Seen.of(file.stat(), complete=False))
    os.utime(file, (1, 1))
    assert not seen.same(Seen.of(file.stat()))


def test_a_directory_is_the_same_whatever_comes_into_it(tmp_path):
    seen = Seen.of(tmp_path.stat())
    (tmp_path / "file").touch()
    os.utime(tmp_path, (1, 1))
    assert seen.same(Seen.of(tmp_path.stat()))
    assert not seen.same(seen._replace(inode=1))
    assert not seen.same(seen._replace(kind=stat.S_IFREG))
    assert not seen._replace(kind=stat.S_IFREG).same(seen)


def test_a_time_far_away_is_kept(ledger, state):
    status = os.stat_result((0o100644, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0, 10**19, 0))
    seen = Seen.of(status)
    ledger.record(f"{ROOT}/file", seen)
    state.flush()
    assert ledger.get(f"{ROOT}/file") == seen


@pytest.mark.parametrize("inode", [0, 2**63 - 1, 2**63, 2**64 - 1])
def test_every_inode_number_is_kept(ledger, state, inode):
    ledger.record(f"{ROOT}/file", FILE._replace(inode=inode))
    state.flush()
    assert ledger.get(f"{ROOT}/file").inode == inode
    assert ledger.directory(ROOT)[b"file"].inode == inode


# Records.


def test_a_record_counts_before_it_is_written(ledger):
    ledger.record(f"{ROOT}/file", FILE)
    assert ledger.get(f"{ROOT}/file") == FILE
    ledger.record(f"{ROOT}/file", None)
    assert ledger.get(f"{ROOT}/file") is None


def test_a_record_is_written_by_itself(ledger, path):
    ledger.record(f"{ROOT}/file", FILE)
    wait_for(lambda: rows(path) == [(b"file",)], 5)


def test_what_was_recorded_is_there_after_a_restart(opened, path):
    first = opened(path)
    first.ledger("in", ROOT).record(f"{ROOT}/sub/file", FILE)
    first.close()
    ledger = opened(path).ledger("in", ROOT)
    assert ledger.get(f"{ROOT}/sub/file") == FILE
    assert ledger.directory(f"{ROOT}/sub") == {b"file": FILE}
    assert isinstance(ledger.directory(f"{ROOT}/sub")[b"file"], Seen)


def test_what_is_gone_is_gone_after_a_restart(opened, path):
    first = opened(path)
    ledger = first.ledger("in", ROOT)
    ledger.record(f"{ROOT}/file", FILE)
    first.flush()
    ledger.record(f"{ROOT}/file", None)
    ledger.record(f"{ROOT}/never/was", None)
    first.close()
    assert opened(path).ledger("in", ROOT).get(f"{ROOT}/file") is None


def test_the_root_itself_can_be_recorded(ledger, state):
    ledger.record(ROOT, DIRECTORY)
    ledger.record(f"{ROOT}/file", FILE)
    state.flush()
    assert ledger.get(ROOT) == DIRECTORY
    assert ledger.directory(ROOT) == {b"file": FILE}
    assert dict(others(ledger, [])) == {ROOT: DIRECTORY, f"{ROOT}/file": FILE}
    assert not dict(others(ledger, [ROOT]))
    ledger.record(ROOT, None)
    state.flush()
    assert ledger.get(ROOT) is None


def test_the_root_of_the_file_system_can_be_an_entry(state):
    ledger = state.ledger("all", "/")
    for pathname in ("/", "/etc", "/etc/hosts"):
        ledger.record(pathname, FILE)
    state.flush()
    assert dict(others(ledger, [])) == dict.fromkeys(["/", "/etc", "/etc/hosts"], FILE)
    assert ledger.directory("/") == {b"etc": FILE}


@pytest.mark.parametrize("pathname", ["", "/", "/srv", "/srv/inner/file", "x", f"{ROOT}/\ud800"])
def test_what_is_no_path_below_the_root_is_ignored(ledger, state, pathname):
    ledger.record(f"{ROOT}/file", FILE)
    ledger.record(pathname, FILE)
    assert ledger.get(pathname) is None
    ledger.rename(pathname, f"{pathname}2")
    ledger.forget_below(pathname)
    state.flush()
    assert not state.problem
    assert ledger.get(pathname) is None
    assert ledger.directory(pathname) == {}
    assert dict(others(ledger, [])) == {f"{ROOT}/file": FILE}


@pytest.mark.parametrize(
    "name", [b"caf\xe9", b"a\nb", b"\xff", b"\x01", "ü".encode(), b"%", b"' --"]
)
def test_names_are_bytes(ledger, state, name):
    pathname = f"{ROOT}/{os.fsdecode(name)}/{os.fsdecode(name)}"
    ledger.record(pathname, FILE)
    state.flush()
    assert ledger.get(pathname) == FILE
    assert ledger.directory(f"{ROOT}/{os.fsdecode(name)}") == {name: FILE}
    assert others(ledger, []) == [(pathname, FILE)]


def test_entries_do_not_mix(state, ledger):
    other = state.ledger("other", ROOT)
    ledger.record(f"{ROOT}/file", FILE)
    other.record(f"{ROOT}/file", OTHER)
    state.flush()
    other.forget_below(ROOT)
    state.flush()
    assert ledger.get(f"{ROOT}/file") == FILE
    assert others(other, []) == []


def test_many_rows_of_many_directories_are_all_written(state, ledger):
    expected = {f"{ROOT}/{n % 997}/{n}": FILE._replace(inode=n) for n in range(60_000)}
    for pathname, seen in expected.items():
        ledger.record(pathname, seen)
    state.flush()
    assert dict(others(ledger, [])) == expected
    assert len(ledger.directory(f"{ROOT}/5")) == 61


def test_threads_record_at_once(state, ledger):
    def record(number: int) -> None:
        for n in range(2_000):
            ledger.record(f"{ROOT}/{number}/{n}", FILE)
            if n % 500 == 0:
                state.flush()

    threads = [threading.Thread(target=record, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state.flush()
    assert [len(ledger.directory(f"{ROOT}/{number}")) for number in range(4)] == [2_000] * 4


# Others.


def test_others_leaves_out_what_was_visited(ledger):
    for pathname in ("a/1", "a/b/2", "c/3", "4"):
        ledger.record(f"{ROOT}/{pathname}", FILE)
    left = dict(others(ledger, {ROOT, f"{ROOT}/a"}))
    assert set(left) == {f"{ROOT}/a/b/2", f"{ROOT}/c/3"}


def test_others_tolerates_writing_meanwhile(ledger, state, monkeypatch):
    monkeypatch.setattr("inotifier.state.ledger._PAGE", 3)
    names = {f"{ROOT}/{n // 10}/{n}" for n in range(100)}
    for name in names:
        ledger.record(name, FILE)
    found = set()
    state.flush()
    for pathname, _ in ledger.others([]):
        found.add(pathname)
        ledger.record(pathname, None)
        state.flush()
    assert found == names
    assert others(ledger, []) == []


# Directories that go or move.


@pytest.mark.parametrize("flush", [True, False])
def test_a_directory_is_forgotten_with_all_below(ledger, state, flush):
    kept = [f"{ROOT}/{name}" for name in ("a.b/f", "a-/f", "a0/f", "a%/f", "b/a/f", "A/f")]
    gone = [f"{ROOT}/{name}" for name in ("a", "a/f", "a/b", "a/b/f", "a/\udcff/f")]
    for pathname in kept + gone:
        ledger.record(pathname, FILE)
    if flush:
        state.flush()
    ledger.forget_below(f"{ROOT}/a")
    assert ledger.get(f"{ROOT}/a/b/f") is None
    assert dict(others(ledger, [])) == dict.fromkeys(kept, FILE)


def test_a_directory_holds_what_is_recorded_below(ledger):
    ledger.record(f"{ROOT}/a/b/file", FILE)
    ledger.record(f"{ROOT}/ab", FILE)
    assert ledger.holds_below(f"{ROOT}/a")
    assert ledger.holds_below(f"{ROOT}/a/b")
    assert not ledger.holds_below(f"{ROOT}/ab")
    assert not ledger.holds_below("/elsewhere")
    ledger.record(f"{ROOT}/a/b/file", None)
    assert not ledger.holds_below(f"{ROOT}/a")


def test_a_wild_card_in_a_name_is_a_character(ledger):
    for name in ("%/f", "x/f", "*/f", "_/f"):
        ledger.record(f"{ROOT}/{name}", FILE)
    for name in "%*_":
        ledger.forget_below(f"{ROOT}/{name}")
    assert dict(others(ledger, [])) == {f"{ROOT}/x/f": FILE}


@pytest.mark.parametrize("flush", [True, False])
def test_a_renamed_directory_takes_all_below_along(ledger, state, flush):
    for pathname in ("a", "a/f", "a/b\udcff/g", "a.b/f"):
        ledger.record(f"{ROOT}/{pathname}", FILE)
    for pathname in ("n/c", "n/c/old", "n/c/deep/old"):
        ledger.record(f"{ROOT}/{pathname}", OTHER)
    if flush:
        state.flush()
    ledger.rename(f"{ROOT}/a", f"{ROOT}/n/c")
    ledger.record(f"{ROOT}/a/f", OTHER)
    moved = {f"{ROOT}/n/c{below}": FILE for below in ("", "/f", "/b\udcff/g")}
    expected = {**moved, f"{ROOT}/a.b/f": FILE, f"{ROOT}/a/f": OTHER}
    for _ in range(2):
        for pathname, seen in expected.items():
            assert ledger.get(pathname) == seen
        for pathname in ("a", "a/b\udcff/g", "n/c/old"):
            assert ledger.get(f"{ROOT}/{pathname}") is None
        state.flush()
    assert dict(others(ledger, [])) == expected


def test_a_rename_is_never_seen_by_half(state, ledger):
    ended = threading.Event()

    def flush() -> None:
        while not ended.is_set():
            state.flush()

    flusher = threading.Thread(target=flush)
    flusher.start()
    try:
        ledger.record(f"{ROOT}/0/f", FILE)
        for n in range(300):
            ledger.rename(f"{ROOT}/{n}", f"{ROOT}/{n + 1}")
            for _ in range(20):
                assert ledger.get(f"{ROOT}/{n + 1}/f") == FILE
    finally:
        ended.set()
        flusher.join()


def test_a_directory_that_leaves_the_entry_is_forgotten(ledger):
    ledger.record(f"{ROOT}/a/f", FILE)
    ledger.rename(f"{ROOT}/a", "/elsewhere/a")
    ledger.record(f"{ROOT}/b/f", FILE)
    ledger.rename("/elsewhere/b", f"{ROOT}/b")
    assert others(ledger, []) == []


NAME = st.binary(min_size=1, max_size=3).filter(
    lambda name: not {0, 47} & set(name) and name not in {b".", b".."}
) | st.sampled_from([b"a", b"b", b"a.", b"a0", b"%"])
PATH = st.lists(NAME, max_size=3).map(lambda names: "/".join([ROOT, *map(os.fsdecode, names)]))
INTEGER = st.integers(-(2**63), 2**63 - 1)
SEEN = st.builds(Seen, st.integers(0, 2**64 - 1), INTEGER, INTEGER, INTEGER, st.booleans())
STEP = st.one_of(
    st.tuples(st.just("record"), PATH, SEEN),
    st.tuples(st.just("record"), PATH, st.none()),
    st.tuples(st.just("forget"), PATH),
    st.tuples(st.just("rename"), PATH, PATH),
    st.tuples(st.sampled_from(["flush", "reopen"])),
)


def below(pathname: str, directory: str) -> bool:
    return f"{pathname}/".startswith(f"{directory}/")


def apply(model: dict[str, Seen], name: str, pathname: str, other=None) -> dict[str, Seen]:
    if name == "record":
        model = {**model, pathname: other}
        return {key: seen for key, seen in model.items() if seen is not None}
    left = {key: seen for key, seen in model.items() if not below(key, pathname)}
    if name == "forget":
        return left
    left = {key: seen for key, seen in left.items() if not below(key, other)}
    moved = {other + key[len(pathname) :]: model[key] for key in model if below(key, pathname)}
    return left | moved


@settings(max_examples=100)
@given(st.lists(STEP, max_size=30))
def test_the_ledger_is_a_dict_that_lasts(steps):
    model: dict[str, Seen] = {}
    with tempfile.TemporaryDirectory() as directory:
        state = State(Path(directory) / "state")
        try:
            state.open()
            ledger = state.ledger("in", ROOT)
            for name, *arguments in steps:
                if name == "flush":
                    state.flush()
                elif name == "reopen":
                    state.close()
                    state = State(Path(directory) / "state")
                    state.open()
                    ledger = state.ledger("in", ROOT)
                elif name == "rename" and (below(*arguments) or below(*arguments[::-1])):
                    continue  # rename(2) refuses it
                else:
                    called = {"record": ledger.record, "forget": ledger.forget_below}
                    called.get(name, ledger.rename)(*arguments)
                    model = apply(model, name, *arguments)
                for pathname in {*model, *arguments[:1]}:
                    assert ledger.get(pathname) == model.get(pathname)
            assert dict(others(ledger, [])) == model
            for parent in {pathname.rpartition("/")[0] for pathname in model} - {"/srv"}:
                assert ledger.directory(parent) == {
                    os.fsencode(pathname.rpartition("/")[2]): seen
                    for pathname, seen in model.items()
                    if pathname.rpartition("/")[0] == parent and pathname != ROOT
                }
            assert not state.problem
        finally:
            state.close()


# Facts of an entry.


def test_the_facts_of_an_entry_are_stored_the_start_at_once(opened, path):
    state = opened(path)
    ledger = state.ledger("in", ROOT)
    assert (first_seen(ledger), ledger.mount) == (NEVER, False)
    ledger.begin(12.5, deep=True)
    ledger.begin(20.0, deep=True)
    assert first_seen(opened(path).ledger("in", ROOT)) == 12.5
    ledger.settle(deep=True)
    ledger.set_mount(True)
    state.flush()
    again = opened(path).ledger("in", ROOT)
    assert (first_seen(again), again.mount) == (0.0, True)


def test_directories_below_the_root_may_be_watched_later(opened, path):
    state = opened(path)
    ledger = state.ledger("in", ROOT)
    ledger.begin(12.5, deep=False)
    ledger.settle(deep=False)
    assert (first_seen(ledger), first_seen(ledger, below=True)) == (0.0, NEVER)
    state.close()
    state = opened(path)
    ledger = state.ledger("in", ROOT)
    ledger.begin(20.0, deep=True)
    assert (first_seen(ledger), first_seen(ledger, below=True)) == (0.0, 20.0)
    ledger.settle(deep=True)
    state.close()
    assert first_seen(opened(path).ledger("in", ROOT), below=True) == 0.0


def test_the_facts_of_an_entry_are_stored_soon(opened, path):
    opened(path).ledger("in", ROOT).settle(deep=True)
    stored = "SELECT count(*) FROM entries WHERE settled"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        wait_for(lambda: connection.execute(stored).fetchone() == (1,))


def test_an_entry_with_another_root_begins_anew(opened, path):
    first = opened(path)
    ledger = first.ledger("in", ROOT)
    ledger.begin(12.5, deep=True)
    ledger.record(f"{ROOT}/file", FILE)
    first.close()
    second = opened(path)
    moved = second.ledger("in", "/srv/new")
    assert first_seen(moved) == NEVER
    assert others(moved, []) == []
    assert rows(path) == []


# The file, the thread.


def test_nothing_runs_and_nothing_is_open_before_open(path):
    before = threading.enumerate()
    state = State(path)
    ledger = state.ledger("in", ROOT)
    ledger.record(f"{ROOT}/file", FILE)
    state.flush()
    assert threading.enumerate() == before
    assert not path.exists()
    state.close()


def test_close_can_be_called_again(state, ledger):
    state.close()
    state.close()
    ledger.record(f"{ROOT}/file", FILE)
    ledger.begin(1.0, deep=True)
    assert ledger.get(f"{ROOT}/file") is None


def test_close_leaves_one_file(state, ledger, path):
    ledger.record(f"{ROOT}/file", FILE)
    state.close()
    assert list(path.parent.iterdir()) == [path]


def test_the_files_are_private(opened, path):
    path.touch(mode=0o644)
    path.chmod(0o644)
    state = opened(path)
    state.ledger("in", ROOT).record(f"{ROOT}/file", FILE)
    state.flush()
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {f"{path.name}{end}": 0o600 for end in ("", "-wal", "-shm")}


def assert_closed(state: State, *messages: str) -> None:
    """Check that a state that could not be opened harms nobody."""
    for message in messages:
        assert message in state.problem
    ledger = state.ledger("in", ROOT)
    ledger.begin(1.0, deep=True)
    ledger.record(f"{ROOT}/file", FILE)
    ledger.rename(f"{ROOT}/a", f"{ROOT}/b")
    state.flush()
    assert ledger.get(f"{ROOT}/file") is None
    assert ledger.directory(ROOT) == {}
    assert others(ledger, []) == []
    state.close()


@pytest.mark.parametrize("end", ["", "-wal", "-shm"])
def test_a_symbolic_link_is_refused(opened, path, tmp_path, end):
    target = tmp_path / "target"
    target.write_text("precious")
    path.with_name(path.name + end).symlink_to(target)
    assert_closed(opened(path), str(path), "symbolic link")
    assert target.read_text() == "precious"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused(opened, path, make):
    make(path)
    assert_closed(opened(path), str(path))


def test_a_directory_that_is_missing_is_named_once(opened, tmp_path, caplog):
    assert_closed(opened(tmp_path / "absent" / "state"), f"{tmp_path}/absent/state")
    assert len(caplog.records) == 1


def run(program: str, *arguments: object, **kwargs) -> str:
    """Run a program in a fresh interpreter; return what it prints."""
    command = [sys.executable, "-c", PRELUDE + program, *map(str, arguments)]
    return subprocess.check_output(command, text=True, timeout=60, **kwargs)


PRELUDE = f"""
import logging, os, resource, signal, sys, time
from pathlib import Path
from inotifier.state import Ledger, Seen, State
logging.basicConfig(stream=sys.stdout, format="%(levelname)s", level=logging.INFO)
ROOT = {ROOT!r}
FILE = Seen(7, 100, 5, 0o100000, True)
state = State(Path(sys.argv[1]))
def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
"""


@needs_root
@pytest.mark.parametrize(("mode", "prepared"), [(0o755, False), (0o555, True)])
def test_a_directory_without_permission_is_no_end(tmp_path, opened, mode, prepared):
    directory = tmp_path / "state"
    directory.mkdir()
    path = directory / "inotifier.state"
    if prepared:
        opened(path).close()
        os.chown(path, 65534, 65534)
    for parent in [tmp_path, *list(tmp_path.parents)[:2]]:
        parent.chmod(0o755)
    directory.chmod(mode)
    said = run(
        "os.setgid(65534); os.setuid(65534)\n"
        "state.open(); ledger = state.ledger('in', ROOT); ledger.begin(1.0, deep=True)\n"
        "ledger.record(ROOT + '/f', FILE); state.flush(); print(state.problem); state.close()",
        path,
    )
    assert said.startswith(f"ERROR\ncannot keep the state in {path}: ")


def test_a_file_that_another_process_holds_is_a_problem(opened, path, monkeypatch):
    opened(path).close()
    monkeypatch.setattr("inotifier.state.tables._PATIENCE", 0.1)
    holder = sqlite3.connect(path, isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        assert_closed(opened(path), "locked")
    finally:
        holder.close()
    assert not path.with_name(f"{path.name}.damaged").exists()


# Damage.


def fill(opened: Callable[[Path], State], path: Path) -> None:
    state = opened(path)
    ledger = state.ledger("in", ROOT)
    ledger.begin(1.0, deep=True)
    for n in range(5_000):
        ledger.record(f"{ROOT}/{n % 10}/{n}", FILE)
    state.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all. " * 1_000)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def break_pages(path: Path) -> None:
    """Leave the first page, which holds the schema, whole."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * (size - 4096))


def new_version(path: Path) -> None:
    rows(path, "PRAGMA user_version = 99")


def no_version(path: Path) -> None:
    rows(path, "PRAGMA user_version = 0")


DAMAGES = [garbage, truncate, break_pages]


@pytest.mark.parametrize("damage", [*DAMAGES, new_version, no_version])
def test_a_file_that_cannot_be_used_is_set_aside_at_open(opened, path, damage, caplog):
    fill(opened, path)
    damage(path)
    damaged = path.with_name(f"{path.name}.damaged")
    damaged.write_text("an older one")
    was = path.read_bytes()
    state = opened(path)
    ledger = state.ledger("in", ROOT)
    assert (state.problem, first_seen(ledger)) == ("", NEVER)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "`initial`" in caplog.text
    assert len(damaged.read_bytes()) == len(was)
    ledger.record(f"{ROOT}/file", FILE)
    state.flush()
    assert dict(others(ledger, [])) == {f"{ROOT}/file": FILE}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("discover", ["read", "write"])
def test_damage_that_comes_later_is_survived(opened, path, damage, discover, caplog):
    fill(opened, path)
    state = opened(path)
    ledger = state.ledger("in", ROOT)
    assert first_seen(ledger) == 1.0
    damage(path)
    if discover == "read":
        for n in range(10):
            ledger.directory(f"{ROOT}/{n}")
    for n in range(100):
        ledger.record(f"{ROOT}/{n % 10}/new{n}", OTHER)
    state.flush()
    for n in range(10):
        ledger.directory(f"{ROOT}/{n}")
    ledger.record(f"{ROOT}/file", FILE)
    state.flush()
    assert state.problem == ""
    assert ledger.get(f"{ROOT}/file") == FILE
    # What comes from now on is not taken for what was there.
    assert first_seen(ledger) > 1.0
    assert path.with_name(f"{path.name}.damaged").exists()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    since = first_seen(ledger)
    state.close()
    assert first_seen(opened(path).ledger("in", ROOT)) == since


def test_damage_with_no_place_to_put_it_closes_the_state(opened, path):
    fill(opened, path)
    garbage(path)
    aside = path.with_name(f"{path.name}.damaged")
    aside.mkdir()
    assert_closed(opened(path), str(path))


# A disk that is full for a while.

FULL = """
state.open()
ledger = state.ledger("in", ROOT)
ledger.record(ROOT + "/before", FILE)
state.flush()
fill()
for n in range(5_000):
    ledger.record(f"{ROOT}/{n}", FILE)
ledger.begin(1.0, deep=True)
state.flush()
assert state.problem, "nothing went wrong"
assert ledger.get(ROOT + "/4999") == FILE
assert ledger.get(ROOT + "/before") == FILE
assert ledger.first_seen(0.0, below=False) == 1.0
ledger.rename(ROOT + "/before", ROOT + "/after")
state.flush()
free()
wait_for(lambda: not state.problem)
assert len(ledger.directory(ROOT)) == 5_001
assert ledger.get(ROOT + "/after") == FILE
state.close()
state = State(Path(sys.argv[1]))
state.open()
ledger = state.ledger("in", ROOT)
assert ledger.first_seen(0.0, below=False) == 1.0
assert len(ledger.directory(ROOT)) == 5_001
state.close()
"""

LIMIT = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
def fill():
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
def free():
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
"""

TINY_DISK = """
ballast = Path(sys.argv[1]).with_name("ballast")
def fill():
    try:
        ballast.write_bytes(bytes(2**21))
    except OSError:
        pass
def free():
    ballast.unlink()
"""


def test_what_cannot_be_written_is_written_later(path):
    assert run(LIMIT + FULL, path) == "ERROR\nINFO\n"


def test_a_full_disk_is_waited_for(tmp_path):
    mount = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(tmp_path)]
    try:
        subprocess.run(mount, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError) as exc:
        pytest.skip(f"no tmpfs of our own: {exc}")
    script = 'mount -t tmpfs -o size=1M tmpfs "$1" && exec "$2" -c "$3" "$1/state"'
    command = ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path), sys.executable]
    program = PRELUDE + TINY_DISK + FULL
    assert subprocess.check_output([*command, program], text=True, timeout=60) == "ERROR\nINFO\n"


def test_too_many_unwritten_records_are_dropped(opened, path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "inotifier")
    monkeypatch.setattr("inotifier.state.backlog._MOST_UNWRITTEN", 10)
    monkeypatch.setattr("inotifier.state.tables._PATIENCE", 0.01)
    monkeypatch.setattr("inotifier.state.state._LONGEST_PAUSE", 0.1)
    state = opened(path)
    ledger = state.ledger("in", ROOT)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        for n in range(7):
            ledger.record(f"{ROOT}/{n}", FILE)
        state.flush()
        ledger.forget_below(f"{ROOT}/absent")
        for n in range(20):
            ledger.record(f"{ROOT}/{n + 7}", FILE)
        ledger.record(f"{ROOT}/7", OTHER)
        ledger.forget_below(f"{ROOT}/1")
        assert "19 records were dropped" in state.problem
        assert "locked" in state.problem
    finally:
        holder.close()
    wait_for(lambda: not state.problem)
    assert len(ledger.directory(ROOT)) == 9
    assert ledger.get(f"{ROOT}/7") == OTHER
    levels = [record.levelname for record in caplog.records]
    assert levels == ["ERROR", "WARNING", "INFO"]


# A killed process.

KILLED = """
state.open()
ledger = state.ledger("in", ROOT)
for n in range(10**9):
    for m in range(1_000):
        ledger.record(f"{ROOT}/{m % 50}/{n * 1000 + m}", FILE)
    state.flush()
    print(n, flush=True)
"""


def test_what_was_flushed_outlives_a_kill(opened, path, caplog):
    for round_ in range(4):
        path.unlink(missing_ok=True)
        command = [sys.executable, "-c", PRELUDE + KILLED, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(3 * round_ + 1):
                last = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
        state = opened(path)
        ledger = state.ledger("in", ROOT)
        found = {int(pathname.rpartition("/")[2]) for pathname, _ in others(ledger, [])}
        assert found >= set(range((last + 1) * 1_000))
        state.close()
    assert caplog.records == []
