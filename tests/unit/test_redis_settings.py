"""The settings of the bridge, and what `manage.py check` says of them."""

import pytest
from django.core.management import CommandError, call_command

from inotifier.bridge.setup import Assignment
from inotifier.conf import conf
from inotifier.exceptions import ConfigurationError
from inotifier.redis_url import passwords, without_password
from inotifier.watches import inspect_settings
from tests.unit.test_architecture import run_without


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/0",
        "rediss://user:p%40ss@example.org:6380/3?ssl_cert_reqs=none",
        "redis://:secret@[::1]:6379",
        "unix:///run/redis.sock?db=2&password=x",
        "unix:///run/r@dis.sock",
    ],
)
def test_a_url_of_redis_is_taken_as_it_is(settings, url):
    settings.INOTIFIER_REDIS_URL = url
    assert conf.redis_url == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (6379, "setting INOTIFIER_REDIS_URL is a int; it should be a str"),
        ("localhost:6379", "it should begin with redis://, rediss://, unix://"),
        ("http://:secret@localhost", "'http://***@localhost': it should begin with"),
        ("redis://:secret@localhost:port/0", "its port is no number"),
        ("redis://:secret@localhost:0/0", "its port is 0"),
        ("redis://", "it names no host"),
        ("redis://:secret@/0", "it names no host"),
        ("redis://[:secret@localhost", "it cannot be read"),
        ("redis://localhost/zero", "'redis://localhost/zero': its database is no number"),
        ("redis://:1/secret@localhost/0", "'redis://***@localhost/0': its user or password"),
        ("redis://:1?secret@localhost/0", "should be quoted: # as %23, / as %2F, ? as %3F"),
        ("redis://u:1#secret@localhost/0", "'redis://***@localhost/0': its user or password"),
        ("redis://u:1\nsecret@localhost:x", "'redis://***@localhost:x': its port is no number"),
        ("unix:///s?password=1#secret@", "its user or password should be quoted"),
        ("unix://", "it names no socket"),
    ],
)
def test_what_is_no_url_of_redis_is_refused_without_its_password(settings, url, message):
    settings.INOTIFIER_REDIS_URL = url
    with pytest.raises(ConfigurationError) as caught:
        _ = conf.redis_url
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", [None, ""])
def test_no_url_is_none(settings, value):
    settings.INOTIFIER_REDIS_URL = value
    assert conf.redis_url is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INOTIFIER_REDIS_STREAM", ""),
        ("INOTIFIER_REDIS_STREAM", b"x"),
        ("INOTIFIER_REDIS_MAXLEN", 0),
        ("INOTIFIER_REDIS_CLAIM_IDLE", 0),
        ("INOTIFIER_REDIS_CLAIM_IDLE", "1"),
        ("INOTIFIER_REDIS_MESSAGE_SIZE", 1.5),
    ],
)
def test_check_shows_a_setting_that_cannot_be_used(settings, name, value):
    setattr(settings, name, value)
    _, problems = inspect_settings()
    assert [one.id for one in problems if name in one.message] == ["inotifier.E012"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@host:1/0", "redis://***@host:1/0"),
        ("redis://:a/b@c@host/0", "redis://***@host/0"),
        ("redis://:a?b#c@host/0", "redis://***@host/0"),
        ("unix:///s?db=1&password=secret&x=y", "unix:///s?db=1&password=***&x=y"),
        ("unix:///s?password=sec#ret", "unix:///s?password=***"),
        ("redis://host", "redis://host"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert without_password(url) == shown


def test_a_password_is_known_as_it_stands_in_the_url_and_as_it_is_meant():
    assert passwords("redis://:p%40ss@host") == ["p%40ss", "p@ss"]


def test_no_two_consumers_have_the_same_files():
    long = "x" * 200
    assignments = [
        Assignment(consumer="web", group="1"),
        Assignment(consumer="web-1"),
        Assignment(consumer="web+1"),
        Assignment(consumer="web", list="1"),
        Assignment(consumer="web", group="list+1"),
        Assignment(consumer="web"),
        Assignment(consumer="web", broadcast=True),
        Assignment(consumer=f"{long}1"),
        Assignment(consumer=f"{long}2"),
        Assignment(consumer="/\udcff"),
    ]
    names = {assignment.file_name for assignment in assignments}
    assert len(names) == len(assignments)
    assert max(map(len, names)) <= 150
    assert not any("/" in name for name in names)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--count", "0"), ("--count", "x"), ("--block", "1000001"), ("--block", "1e3")],
)
def test_a_number_that_cannot_be_used_is_refused(option, value):
    with pytest.raises(CommandError, match=f"{option}.*'{value}' is not a whole number from 1 to"):
        call_command("inotifier_consume", option, value)


@pytest.mark.parametrize("option", ["--list", "--group", "--consumer"])
@pytest.mark.parametrize("value", ["\udcff", "", "a\nb"])
def test_a_name_that_is_no_text_is_refused(option, value):
    with pytest.raises(CommandError, match=f"{option}.*is no name; it should be text, in UTF-8"):
        call_command("inotifier_consume", option, value)


def test_check_does_not_import_redis():
    program = """
from django.conf import settings
settings.configure(INOTIFIER_WATCH_PATHS=["/"], INOTIFIER_REDIS_URL="redis://localhost")
from inotifier.watches import inspect_settings
inspect_settings()
import inotifier.bridge
assert "redis" not in sys.modules
"""
    result = run_without([], program)
    assert result.returncode == 0, result.stderr
