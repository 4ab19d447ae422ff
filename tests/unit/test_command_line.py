"""Command lines with the names of files in them: whatever those are, they stay names."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inotifier import Watch
from inotifier.events import IN_CREATE, IN_ISDIR, IN_MOVED_TO, Event
from inotifier.scheduling.command_line import (
    FACTS,
    ProgramLine,
    ShellLine,
    environment_of,
    facts_of,
)

SHELLS = [shell for shell in ("dash", "bash", "busybox", "mksh") if shutil.which(shell)]

HOSTILE = (
    "; touch PWNED;",
    "$(touch PWNED)",
    "`touch PWNED`",
    "'; touch PWNED; '",
    '"; touch PWNED; "',
    "\\'; touch PWNED; #",
    "\ntouch PWNED\n",
    "a[$(touch PWNED)]",
    "\nE\ntouch PWNED\n",
    ")touch PWNED;(",
    "}; touch PWNED; {",
    "#\ntouch PWNED #",
    "*/touch PWNED",
)

FILE_NAMES = (
    st.binary(min_size=1, max_size=255)
    .map(lambda name: name.replace(b"\0", b"'").replace(b"/", b"\n"))
    .filter(lambda name: name not in (b".", b".."))
)


def facts(**given: str) -> dict[str, str]:
    return {name: given.get(name, "") for name in FACTS}


def in_shell(command: list[str], shell: str, directory: Path) -> subprocess.CompletedProcess[bytes]:
    applet = ["sh"] if shell == "busybox" else []
    return subprocess.run(
        [shell, *applet, *command[1:]],
        cwd=directory,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=10,
    )


def test_the_facts_of_an_event():
    watch = Watch("/srv/in", name="inbox")
    event = Event(mask=IN_CREATE | IN_ISDIR, path="/srv/in", name="x", watch=watch)
    assert facts_of(event) == {
        "maskname": "IN_CREATE",
        "pathname": "/srv/in/x",
        "src_pathname": "",
        "name": "x",
        "path": "/srv/in",
        "watch": "inbox",
    }
    moved = Event(mask=IN_MOVED_TO, path="/srv/in", name="y", src_pathname="/srv/in/x")
    assert facts_of(moved)["src_pathname"] == "/srv/in/x"
    assert facts_of(moved)["watch"] == ""


def test_the_facts_as_variables():
    assert environment_of(facts(pathname="/a"))["INOTIFIER_PATHNAME"] == "/a"
    assert environment_of(facts())["INOTIFIER_SRC_PATHNAME"] == ""


def test_a_program_gets_its_arguments_as_they_are():
    line = ProgramLine(["awk", "{print $1}", "--to={name}", "{pathname}", "{foo}", "{", "{}"])
    assert line.filled(facts(name="a b", pathname="/it's")) == [
        "awk",
        "{print $1}",
        "--to=a b",
        "/it's",
        "{foo}",
        "{",
        "{}",
    ]


def test_an_argument_that_is_no_text_is_refused():
    with pytest.raises(TypeError, match=r"cmd\[1\] is 5; write each argument as a text"):
        ProgramLine(["sleep", 5])


@pytest.mark.parametrize("make", [lambda: ProgramLine([]), lambda: ShellLine(" \n")])
def test_an_empty_command_is_refused(make):
    with pytest.raises(ValueError, match="cmd is empty"):
        make()


def test_what_a_placeholder_stands_for_is_not_read_again():
    """Fault 1 of pyinotifyd: it replaced one placeholder after the other."""
    filled = ShellLine("task {pathname} {src_pathname}").filled(
        facts(pathname="/in/{src_pathname}", src_pathname="/in/; touch PWNED;")
    )
    assert filled[-1] == "task '/in/{src_pathname}' '/in/; touch PWNED;'"
    assert ProgramLine(["task", "{pathname}"]).filled(
        facts(pathname="{src_pathname}", src_pathname="x")
    ) == ["task", "{src_pathname}"]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", HOSTILE)
def test_the_injection_pair_stays_two_names(tmp_path, shell, name):
    """Fault 1 of pyinotifyd, in all shells that are here."""
    line = ShellLine("printf '%s|' {pathname} {src_pathname}")
    result = in_shell(
        line.filled(facts(pathname="{src_pathname}", src_pathname=name)), shell, tmp_path
    )
    assert result.stdout == b"{src_pathname}|" + os.fsencode(name) + b"|"
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILE_NAMES)
@example(b"-rf")
@example(b"'")
@example(b"~root")
@example(b"caf\xe9\n")
def test_a_thousand_names_arrive_byte_for_byte(tmp_path, name):
    found = facts(name=os.fsdecode(name), pathname=os.fsdecode(b"/in/" + name))
    line = ShellLine("printf '%s\\0' {pathname} x{name}y \"$INOTIFIER_NAME\"")
    result = subprocess.run(
        line.filled(found),
        env={**os.environ, **environment_of(found)},
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=10,
    )
    assert result.stdout == b"/in/" + name + b"\0x" + name + b"y\0" + name + b"\0"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("command", "name", "output"),
    [
        ("echo {name}>/dev/stdout", "2", "2"),
        ("echo ~{name}", "root", "~root"),
        ("echo a{name}b", "", "ab"),
        ('x={name}; echo "$x"', "a  b", "a  b"),
        ("{ echo {name}; }", "a", "a"),
        ("echo ${HOME:+home} {name}", "a", "home a"),
        ("echo $(echo out) {name}", "a", "out a"),
        ('x="$(echo out)"; echo "$x" {name}', "a", "out a"),
        ("echo `echo out` {name}", "a", "out a"),
        ("echo '{print}' {name} # a comment, isn't it", "a", "{print} a"),
        ('echo "{print}" {name}', "a", "{print} a"),
        ("echo \\\n {name}", "a", "a"),
        ("# it's\necho {name}", "a", "a"),
        ("echo $# a#b {name}", "c", "0 a#b c"),
        ("(echo {name})", "a", "a"),
        ("if [ -n {name} ]; then echo {name}; fi", "a", "a"),
        ("case {name} in a) echo yes;; esac", "a", "yes"),
        ("echo reeval {name}; echo please eval it", "a", "reeval a\nplease eval it"),
        ("eval 'echo out'", "a", "out"),
        ("echo out | while read x; do echo $x {name}; done", "a", "out a"),
        ("echo out | { read x && echo {name}; }", "a", "a"),
        ("x() { local y=1; echo {name}; }; x", "a", "a"),
        ("printf '%s\\n' {name}", "a", "a"),
        ("test a = {name} && echo {name} | grep -v b", "a", "a"),
        ("cat <<E\nout\nE", "a", "out"),
        ("echo \\{ \\# {name} x[1] {}", "a", "{ # a x[1] {}"),
    ],
)
def test_the_rest_of_a_command_is_the_shells(tmp_path, shell, command, name, output):
    result = in_shell(ShellLine(command).filled(facts(name=name)), shell, tmp_path)
    assert result.stdout.decode() == f"{output}\n", result.stderr


@pytest.mark.parametrize(
    ("command", "where"),
    [
        ("echo '{name}'", "inside single quotes"),
        ('echo "{name}"', "inside double quotes"),
        ('echo "a \\" {name}"', "inside double quotes"),
        ("echo \\{name}", "after a backslash"),
        ("true # {name}", "inside a comment"),
        ("true;# {name}", "inside a comment"),
        ("cat <<E\n{name}\nE", "behind '<<'"),
        ("cat <<{name}", "behind '<<'"),
        ("echo `ls {name}`", "inside a"),
        ("echo $(ls {name})", "inside a"),
        ('echo "$(ls {name})"', "inside double quotes"),
        ('echo "$(echo "{name}")"', "behind"),
        ('echo "`echo "{name}"`"', "behind"),
        ("echo ${x:-{name}}", "behind '\\${'"),
        ("echo $((1 + {name}))", r"behind '\$\('"),
        ("echo $[1 + {name}]", r"behind '\$\['"),
        ("((x = {name}))", r"behind '\(\('"),
        ("echo $'x' {name}", "behind"),
        ("echo $\\\n{name}", "behind"),
        ("echo ' {name}", "behind"),
        ("eval echo {name}", "behind 'eval'"),
        ("[[ -v {name} ]]", r"behind '\[\['"),
        ("a[{name}]=1", r"behind 'a\['"),
        ("${x}eval {name}", "behind 'eval'"),
        ("''eval {name}", "behind 'eval'"),
        ("\\eval {name}", "behind"),
        ("read -r {name}", "behind 'read'"),
        ("read -p 'who; ' {name}", "behind 'read'"),
        ("f() { local {name}=1; }", "behind 'local'"),
        ("printf -v {name} x", "behind 'printf'"),
        ("test -n -a -a -v {name}", "behind 'test'"),
        ("[ -v {name} ]", r"behind '\['"),
    ],
)
def test_a_placeholder_where_quoting_does_not_protect_is_refused(command, where):
    with pytest.raises(
        ValueError, match=f"the placeholder {{name}} stands {where}.*INOTIFIER_NAME"
    ):
        ShellLine(command)


def test_words_that_a_line_end_joins_are_refused():
    with pytest.raises(ValueError, match="put a blank before it"):
        ShellLine("cat <\\\n< {name}")


def test_an_unknown_placeholder_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"\{pathnam\} .* is not known.*\{pathname\}.*in quotes"):
        ShellLine("cp {pathnam} /backup")


PIECES = st.sampled_from(
    [
        *("{name}", "{name}", "{name}", "echo", " ", " ", "\n", ";", "|", "&", "(", ")", "{", "}"),
        *('"', "'", "`", "$", "$(", "${", "\\", "#", "<", "<<", "<<E", "E", "x", "x=", "a[", "]"),
        *("$((", "((", "))", "[[", "]]", "eval", "~", "!", "-v", "1", "case", "in", "esac", ";;"),
        *("read", "local", "printf", "test", "[", " -v ", "unset", "''", "$x", "${x}", "$@"),
    ]
)


@pytest.mark.skipif(not SHELLS, reason="there is no shell")
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECES, min_size=1, max_size=12), name=st.sampled_from(HOSTILE))
@example(pieces=["echo", " ", "$", "{name}"], name="\\'; touch PWNED; #")
@example(pieces=["`", "echo", " ", "{name}", "`"], name="`touch PWNED`")
def test_no_command_that_is_taken_runs_what_a_file_is_called(tmp_path, pieces, name):
    try:
        line = ShellLine("".join(pieces))
    except ValueError:
        return
    for shell in SHELLS:
        in_shell(line.filled(facts(name=name)), shell, tmp_path)
        assert not (tmp_path / "PWNED").exists(), (shell, line.filled(facts(name=name)))
