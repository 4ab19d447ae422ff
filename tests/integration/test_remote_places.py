"""FsspecPoller against real servers: S3 (moto's), FTP (pyftpdlib's), and fsspec's own memory."""

import contextlib
import gc
import logging
import os
import signal
import socket
import time
import traceback
import urllib.request
from urllib.parse import quote

import pytest

from inotifier.sources import SourceError
from inotifier.sources.remote import FsspecPoller
from tests.servers import free_ports, need, server

pytestmark = pytest.mark.long

USER, PASSWORD = "reader", "a/secret?of#the:server@-long-enough"
WHO = f"{USER}:{quote(PASSWORD, safe='')}"
KEY, SECRET = "AKIAEXAMPLE", "secret/of+the+bucket"
ODD_NAMES = ["a b", "a?b", "a#b", "a&b", "a%20b", "a+b", "\N{SNOWMAN}", "a:@b"]


@pytest.fixture
def make():
    """Make a poller, which is closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(url, recurse=False, **kwargs):
            poller = FsspecPoller(url, recurse, **{"timeout": 30, **kwargs})
            stack.callback(poller.close)
            return poller

        yield make


@pytest.fixture(autouse=True)
def collected():
    """Connections of some libraries are closed when they are collected."""
    yield
    gc.collect()


def assert_secret_is_kept(text):
    for secret in (PASSWORD, SECRET):
        for form in (secret, quote(secret), quote(secret, safe=""), secret[:8], secret[-8:]):
            assert form not in text


def failure(make, *args, **kwargs):
    """Return the message of making a poller that cannot be, and all that is told with it."""
    with pytest.raises(SourceError) as caught:
        make(*args, **kwargs)
    return str(caught.value), "".join(traceback.format_exception(caught.value))


class TestMemory:
    """The place that fsspec keeps itself."""

    @pytest.fixture
    def files(self):
        need("fsspec")
        import fsspec

        files = fsspec.filesystem("memory")
        yield files
        files.store.clear()
        files.pseudo_dirs[:] = [""]

    @pytest.mark.parametrize("recurse", [False, True])
    def test_tells_what_is_created_modified_and_deleted(self, files, make, recurse):
        files.pipe({"/in/kept": b"1", "/in/changed": b"1", "/in/gone": b"1", "/other": b"1"})
        poller = make("memory://in", recurse)
        assert poller.get_new_events() == []
        files.pipe({"/in/new": b"1", "/in/changed": b"2", "/in/below/new": b"1", "/inner": b"1"})
        files.rm("/in/gone")
        below = [("memory://in/below/new", "created")] if recurse else []
        assert sorted(poller.get_new_events()) == [
            *below,
            ("memory://in/changed", "modified"),
            ("memory://in/gone", "deleted"),
            ("memory://in/new", "created"),
        ]

    @pytest.mark.parametrize("recurse", [False, True])
    @pytest.mark.parametrize("url", ["memory://", "memory:///", "memory://in", "memory:///in/"])
    def test_subjects_are_below_the_url(self, files, make, url, recurse):
        poller = make(url, recurse)
        for name in ODD_NAMES:
            files.pipe(f"{url.rstrip('/') if 'in' in url else 'memory://'}/{name}", b"1")
        base = url if url.endswith("/") else f"{url}/"
        assert {subject for subject, _ in poller.get_new_events()} == {
            f"{base}{name}" for name in ODD_NAMES
        }

    def test_a_file_may_be_watched(self, files, make):
        files.pipe("/one", b"1")
        poller = make("memory://one")
        files.pipe("/one", b"12")
        assert poller.get_new_events() == [("memory://one", "modified")]
        files.rm("/one")
        assert poller.get_new_events() == [("memory://one", "deleted")]

    def test_tells_the_first_files_if_asked_to(self, files, make):
        files.pipe("/in/first", b"1")
        poller = make("memory://in", initial="created")
        assert poller.get_new_events() == [("memory://in/first", "created")]


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """The URL of moto's server."""
    need("flask", "flask_cors", "fsspec", "moto", "s3fs")
    (port,) = free_ports(1)
    log = tmp_path_factory.mktemp("s3") / "log"
    with server(["-m", "moto.server", "-p", str(port)], port, log):
        yield f"http://127.0.0.1:{port}"


def s3_options(s3, **kwargs):
    return {
        "endpoint_url": s3,
        "client_kwargs": {"region_name": "eu-west-1"},
        "config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 5},
        **kwargs,
    }


@pytest.fixture(scope="module")
def objects(s3):
    """What fills the buckets; it opens first what it keeps open until the end."""
    import s3fs

    objects = s3fs.S3FileSystem(key=KEY, secret=SECRET, skip_instance_cache=True, **s3_options(s3))
    objects.mkdir("first")
    return objects


class TestS3:
    """An object store: no directories, an ETag for every object."""

    @pytest.fixture
    def files(self, objects):
        return objects

    @pytest.fixture
    def bucket(self, files):
        name = f"bucket-{time.monotonic_ns()}"
        files.mkdir(name)
        return name

    @pytest.fixture
    def make(self, s3, make):
        return lambda url, recurse=False, **kwargs: make(
            url, recurse, options=s3_options(s3), **kwargs
        )

    @pytest.mark.parametrize("recurse", [False, True])
    def test_tells_what_is_created_modified_and_deleted(self, files, bucket, make, recurse):
        at = f"{bucket}/in"
        files.pipe({f"{at}/kept": b"1", f"{at}/changed": b"1", f"{at}/gone": b"1"})
        poller = make(f"s3://{KEY}:{quote(SECRET, safe='')}@{at}", recurse)
        assert poller.url == f"s3://{at}"
        assert poller.get_new_events() == []

        files.pipe({f"{at}/new": b"1", f"{at}/changed": b"2", f"{at}/below/new": b"1"})
        files.pipe(f"{bucket}/inner", b"1")
        files.rm(f"{at}/gone")
        below = [(f"s3://{at}/below/new", "created")] if recurse else []
        assert sorted(poller.get_new_events()) == [
            *below,
            (f"s3://{at}/changed", "modified"),
            (f"s3://{at}/gone", "deleted"),
            (f"s3://{at}/new", "created"),
        ]
        assert poller.get_new_events() == []

    def test_names_may_hold_anything(self, files, bucket, s3):
        options = s3_options(s3, key=KEY, secret=SECRET)
        poller = FsspecPoller(f"s3://{bucket}/in/", options=options)
        for name in ODD_NAMES:
            files.pipe(f"{bucket}/in/{name}", b"1")
        assert {subject for subject, _ in poller.get_new_events()} == {
            f"s3://{bucket}/in/{name}" for name in ODD_NAMES
        }
        poller.close()

    @pytest.mark.parametrize("recurse", [False, True])
    def test_the_last_object_may_go(self, files, bucket, make, recurse):
        files.pipe(f"{bucket}/in/one", b"1")
        poller = make(f"s3://{KEY}:{quote(SECRET, safe='')}@{bucket}/in", recurse)
        files.rm(f"{bucket}/in/one")
        assert poller.get_new_events() == [(f"s3://{bucket}/in/one", "deleted")]
        files.pipe(f"{bucket}/in/one", b"1")
        assert poller.get_new_events() == [(f"s3://{bucket}/in/one", "created")]

    def test_a_bucket_may_hold_more_than_one_page(self, files, bucket, make):
        poller = make(f"s3://{KEY}:{quote(SECRET, safe='')}@{bucket}", True)
        names = [f"{number % 7}/{number:04}" for number in range(1100)]
        # Few at a time: of many at once, some wait too long for a connection on a busy machine.
        files.pipe({f"{bucket}/{name}": b"" for name in names}, batch_size=16)
        events = poller.get_new_events()
        assert sorted(events) == sorted((f"s3://{bucket}/{name}", "created") for name in names)

    def test_the_library_finds_credentials_of_its_own(self, files, bucket, make, monkeypatch):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        poller = make(f"s3://{bucket}")
        files.pipe(f"{bucket}/new", b"1")
        assert poller.get_new_events() == [(f"s3://{bucket}/new", "created")]

    @pytest.mark.parametrize("recurse", [False, True])
    @pytest.mark.parametrize("path", ["", "/in"])
    def test_a_missing_bucket_is_an_error(self, files, make, recurse, path):
        url = f"s3://{KEY}:{quote(SECRET, safe='')}@missing{path}"
        message, told = failure(make, url, recurse)
        assert message == f"s3://missing{path} cannot be listed: there is no such place"
        assert_secret_is_kept(told)

    def test_wrong_credentials_are_an_error(self, s3, files, bucket, make, caplog):
        caplog.set_level(logging.DEBUG)
        url = f"s3://{KEY}:{quote(SECRET, safe='')}@{bucket}"
        with judging(s3):
            message, told = failure(make, url)
        assert "PermissionError" in message
        assert_secret_is_kept(told + caplog.text)


@contextlib.contextmanager
def judging(s3):
    """Have moto's server refuse everybody."""

    def allow(actions):
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{s3}/moto-api/reset-auth", actions, headers)
        urllib.request.urlopen(request, timeout=10).close()

    allow(b"0")
    try:
        yield
    finally:
        allow(b"inf")


@pytest.fixture(scope="module")
def ftp(tmp_path_factory):
    """The port of an FTP server, its directory and its process."""
    need("fsspec", "pyftpdlib")
    (port,) = free_ports(1)
    directory = tmp_path_factory.mktemp("ftp")
    command = ["-m", "tests.ftp_server", str(port), str(directory), USER, PASSWORD]
    with server(command, port, tmp_path_factory.mktemp("ftp-log") / "log") as process:
        yield port, directory, process


class TestFTP:
    """A file server: real directories, size and time."""

    @pytest.fixture
    def place(self, ftp, tmp_path):
        """The URL of a directory, who included, the one without, and the directory."""
        port, root, _ = ftp
        directory = root / tmp_path.name
        directory.mkdir()
        return (
            f"ftp://{WHO}@127.0.0.1:{port}/{directory.name}",
            f"ftp://127.0.0.1:{port}/{directory.name}",
            directory,
        )

    @pytest.mark.parametrize("recurse", [False, True])
    def test_tells_what_is_created_modified_and_deleted(self, place, make, recurse):
        url, public, directory = place
        for name in ("kept", "changed", "gone"):
            (directory / name).write_text("1")
        poller = make(url, recurse)
        assert poller.get_new_events() == []

        (directory / "changed").write_text("12")
        (directory / "gone").unlink()
        (directory / "below" / "deep").mkdir(parents=True)
        (directory / "below" / "deep" / "new").write_text("1")
        (directory / "empty").mkdir()
        (directory / "new").write_text("1")
        below = [(f"{public}/below/deep/new", "created")] if recurse else []
        assert sorted(poller.get_new_events()) == [
            *below,
            (f"{public}/changed", "modified"),
            (f"{public}/gone", "deleted"),
            (f"{public}/new", "created"),
        ]
        assert poller.get_new_events() == []

    def test_an_older_time_is_a_change(self, place, make):
        url, public, directory = place
        (directory / "one").write_text("1")
        poller = make(url)
        os.utime(directory / "one", (1, 1))
        assert poller.get_new_events() == [(f"{public}/one", "modified")]

    def test_names_may_hold_anything(self, place, make):
        url, public, directory = place
        poller = make(url, True)
        for name in ODD_NAMES:
            (directory / name).mkdir()
            (directory / name / name).write_text("1")
        assert {subject for subject, _ in poller.get_new_events()} == {
            f"{public}/{name}/{name}" for name in ODD_NAMES
        }

    @pytest.mark.parametrize("recurse", [False, True])
    def test_a_root_that_cannot_be_listed_loses_nothing(self, ftp, place, make, recurse):
        poller = make(f"ftp://{WHO}@127.0.0.1:{ftp[0]}/", recurse)
        (ftp[1] / ".closed").touch()
        with pytest.raises(SourceError, match="the server does not list /"):
            poller.get_new_events()
        (ftp[1] / ".closed").unlink()
        assert poller.get_new_events() == []

    def test_an_empty_directory_is_no_error(self, place, make):
        url, public, directory = place
        poller = make(url, True)
        assert poller.get_new_events() == []
        (directory / "one").write_text("1")
        assert poller.get_new_events() == [(f"{public}/one", "created")]
        (directory / "one").unlink()
        assert poller.get_new_events() == [(f"{public}/one", "deleted")]

    def test_the_root_of_the_server_may_be_watched(self, ftp, place, make):
        poller = make(f"ftp://{WHO}@127.0.0.1:{ftp[0]}", True)
        (place[2] / "new").write_text("1")
        assert poller.get_new_events() == [(f"{place[1]}/new", "created")]

    def test_credentials_may_be_options(self, place, make):
        _, public, directory = place
        poller = make(public, options={"username": USER, "password": PASSWORD})
        (directory / "new").write_text("1")
        assert poller.get_new_events() == [(f"{public}/new", "created")]

    def test_a_directory_below_that_cannot_be_listed_loses_nothing(self, place, make):
        url, _, directory = place
        (directory / "below").mkdir()
        (directory / "below" / "one").write_text("1")
        poller = make(url, True)
        (directory / "below" / ".closed").touch()
        with pytest.raises(SourceError):
            poller.get_new_events()
        (directory / "below" / ".closed").unlink()
        assert poller.get_new_events() == []

    def test_an_outage_loses_nothing(self, ftp, place, make):
        url, public, directory = place
        (directory / "gone").write_text("1")
        poller = make(url, timeout=1, options={"timeout": 2})
        (directory / "gone").unlink()
        (directory / "new").write_text("1")
        os.kill(ftp[2].pid, signal.SIGSTOP)
        try:
            with pytest.raises(SourceError, match=r"no answer within 1 s"):
                poller.get_new_events()
            with pytest.raises(SourceError, match=r"no answer within 1 s"):
                poller.get_new_events()
        finally:
            os.kill(ftp[2].pid, signal.SIGCONT)
        poller._timeout = 30
        assert poller.get_new_events() == [
            (f"{public}/gone", "deleted"),
            (f"{public}/new", "created"),
        ]

    def test_a_connection_that_the_server_has_ended_is_made_again(self, place, make):
        url, public, directory = place
        poller = make(url)
        poller._files.ftp.sock.shutdown(socket.SHUT_RDWR)
        (directory / "new").write_text("1")
        assert poller.get_new_events() == [(f"{public}/new", "created")]

    @pytest.mark.parametrize("recurse", [False, True])
    def test_a_directory_that_goes_is_an_error_until_it_is_back(self, place, make, recurse):
        url, public, directory = place
        (directory / "one").write_text("1")
        poller = make(url, recurse)
        away = directory.rename(directory.with_name("away"))
        with pytest.raises(SourceError, match="there is no such place"):
            poller.get_new_events()
        away.rename(directory)
        assert poller.get_new_events() == []
        (directory / "one").unlink()
        assert poller.get_new_events() == [(f"{public}/one", "deleted")]

    def test_a_wrong_password_is_an_error(self, ftp, make, caplog):
        caplog.set_level(logging.DEBUG)
        url = f"ftp://{USER}:{quote(PASSWORD[::-1], safe='')}@127.0.0.1:{ftp[0]}/"
        message, told = failure(make, url)
        assert "530" in message
        assert_secret_is_kept(told + caplog.text)
        assert_secret_is_kept((told + caplog.text)[::-1])

    def test_no_server_is_an_error(self, make):
        need("fsspec")
        message, told = failure(make, f"ftp://{WHO}@127.0.0.1:{free_ports(1)[0]}/")
        assert "refused" in message
        assert_secret_is_kept(told)


def test_a_library_that_is_missing_is_named(make):
    need("fsspec")
    message, _ = failure(make, "gs://bucket/in")
    assert "gcsfs" in message


def test_a_container_of_azure_is_no_user(make):
    need("fsspec")
    url = "abfs://container@account.dfs.core.windows.net/in"
    message, _ = failure(make, url)
    assert message.startswith(f"{url} cannot be listed: ")
    assert "adlfs" in message


def test_an_unknown_scheme_is_an_error(make):
    need("fsspec")
    message, _ = failure(make, "nothing://any")
    assert "Protocol not known: nothing" in message
