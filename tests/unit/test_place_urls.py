"""What the URLs of remote places may be, and that what is secret in them is never told."""

import sys
import traceback
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inotifier.sources import FsspecPoller, SourceError, SwiftPoller, make_poller
from inotifier.sources.credentials import hide, read_address

SWIFT_URL = "swift://user+tenant:hush-hush@host:5000/v3?container"


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://bucket/in", ("s3", None, None, "bucket", "/in")),
        ("FTP://me@host", ("ftp", "me", None, "host", "")),
        ("ftp://me:@host/", ("ftp", "me", "", "host", "/")),
        ("ftp://me:a:b@c@host:21/x@y", ("ftp", "me", "a:b@c", "host:21", "/x@y")),
        ("ftp://[::1]:21/in", ("ftp", None, None, "[::1]:21", "/in")),
        ("ftp://me%40here:a%2Fb@host/in", ("ftp", "me%40here", "a%2Fb", "host", "/in")),
        ("s3://bucket/a@b:c?d#e", ("s3", None, None, "bucket", "/a@b:c?d#e")),
        (SWIFT_URL, ("swift", "user+tenant", "hush-hush", "host:5000", "/v3?container")),
    ],
)
def test_a_url_has_parts(url, parts):
    assert tuple(read_address(url)) == parts


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("ftp://me:secret@host:21/in", "ftp://host:21/in"),
        ("s3://key:secret@bucket/in/", "s3://bucket/in/"),
        ("memory:///in", "memory:///in"),
    ],
)
def test_the_public_url_has_no_user(url, public):
    assert read_address(url).public == public


@pytest.mark.parametrize(
    "url",
    [
        "hush-hush",
        "",
        "ftp://me:hush/hush@host/in",
        "ftp://me:hush#hush@host/in",
        "swift://user+tenant:hush?hush@host/v3?container",
        "zip://*::ftp://me:hush-hush@host/in",
    ],
)
@pytest.mark.parametrize("poller", [SwiftPoller, FsspecPoller])
def test_what_cannot_be_read_is_an_error_that_does_not_show_it(url, poller):
    with pytest.raises(ValueError, match=r"cannot be read|should be of the form") as caught:
        poller(url)
    assert "hush" not in "".join(traceback.format_exception_only(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        "swift://user+tenant:hush-hush@host:5000/v3",
        "swift://user+tenant:hush-hush@host:5000/v3?",
        "swift://user+tenant@host/v3?container",
        "swift://:hush-hush@host/v3?container",
        "swift://host/v3?container",
        "s3://user+tenant:hush-hush@host/v3?container",
    ],
)
def test_a_swift_url_has_a_user_a_password_and_a_container(url):
    with pytest.raises(ValueError, match="should be of the form swift://") as caught:
        SwiftPoller(url)
    assert "hush" not in str(caught.value)


def test_there_are_three_versions_of_the_authentication():
    pytest.importorskip("swiftclient")
    with pytest.raises(ValueError, match="auth_version is 4; it should be 1, 2 or 3"):
        SwiftPoller(SWIFT_URL, auth_version=4)


@pytest.mark.parametrize("version", [2, 3])
def test_keystone_needs_a_tenant(version):
    pytest.importorskip("swiftclient")
    with pytest.raises(ValueError, match="Keystone needs a tenant") as caught:
        SwiftPoller("swift://user:hush-hush@host/?container", auth_version=version)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("missing", ["swiftclient", "keystoneauth1"])
def test_what_a_swift_container_needs_is_named(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SourceError, match=r"pip install 'django-inotifier\[swift\]'"):
        make_poller(SWIFT_URL)


def test_what_other_places_need_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    for module in ("core", "registry"):
        monkeypatch.delitem(sys.modules, f"fsspec.{module}", raising=False)
    with pytest.raises(SourceError, match=r"pip install 'django-inotifier\[remote\]'"):
        make_poller("s3://bucket/in")


def test_fsspec_knows_the_schemes():
    registry = pytest.importorskip("fsspec.registry")
    from inotifier.sources.remote import SCHEMES

    own = {"abfss"}  # what adlfs adds to those when it is installed
    assert set(SCHEMES) - own <= set(registry.known_implementations)


@given(
    st.text(st.characters(codec="utf-8"), min_size=1),
    st.sampled_from([str, repr, quote, lambda text: quote(text, safe="")]),
)
def test_secrets_are_hidden_however_they_are_written(secret, write):
    marked = f"<{secret}>"  # so that it is no part of what takes its place
    told = hide(f"the server refuses {write(marked)}", [quote(marked, safe="")])
    assert told.replace("'", "").replace('"', "") == "the server refuses ***"
