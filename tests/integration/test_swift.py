"""SwiftPoller against a real Swift."""

import contextlib
import gc
import hashlib
import http.client
import itertools
import logging
import os
import signal
import socket
import time
import traceback
from urllib.parse import quote

import pytest

from inotifier.sources import SourceError
from inotifier.sources.swift import SwiftPoller
from tests.keystone import REGION, running_keystone
from tests.servers import free_ports
from tests.swift_server import PASSWORD, TENANT, USER, running_swift

pytestmark = pytest.mark.long

QUOTED = quote(PASSWORD, safe="")
containers = (f"container {number}" for number in itertools.count())


@pytest.fixture(scope="module")
def swift(tmp_path_factory):
    with running_swift(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture(autouse=True)
def collected():
    """A connection of swiftclient is a cycle: it closes its sockets when it is collected."""
    yield
    gc.collect()


@pytest.fixture
def client(swift):
    from swiftclient import Connection

    connection = Connection(swift.auth, f"{TENANT}:{USER}", PASSWORD, retries=0, timeout=30)
    yield connection
    connection.close()


@pytest.fixture
def container(client):
    name = next(containers)
    client.put_container(name)
    return name


@pytest.fixture
def make(swift):
    """Make a poller of a container, which is closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(container, *, host=None, path="/auth/v1.0", password=QUOTED, **kwargs):
            place = f"{host or swift.host}{path}?{quote(container)}"
            url = f"swift://{USER}+{TENANT}:{password}@{place}"
            poller = SwiftPoller(url, **{"auth_version": 1, "timeout": 30, **kwargs})
            stack.callback(poller.close)
            return poller

        yield make


@pytest.fixture
def keystone(swift):
    with running_keystone(swift) as server:
        yield server


def subject(swift, container, name):
    return f"swift://{swift.host}/auth/v1.0?{quote(container)}&name={quote(name)}"


def assert_secret_is_kept(text):
    for form in (PASSWORD, QUOTED, PASSWORD[:8], QUOTED[:8], PASSWORD[-8:]):
        assert form not in text


def test_tells_what_is_created_modified_and_deleted(swift, client, container, make):
    for name in ("kept", "changed", "gone"):
        client.put_object(container, name, b"before")
    poller = make(container)
    assert poller.get_new_events() == []

    client.put_object(container, "new", b"new")
    client.put_object(container, "changed", b"after!")
    client.delete_object(container, "gone")
    assert sorted(poller.get_new_events()) == [
        (subject(swift, container, "changed"), "modified"),
        (subject(swift, container, "gone"), "deleted"),
        (subject(swift, container, "new"), "created"),
    ]
    assert poller.get_new_events() == []


def test_what_is_written_again_unchanged_is_modified(swift, client, container, make):
    client.put_object(container, "same", b"same")
    poller = make(container)
    client.put_object(container, "same", b"same")
    assert poller.get_new_events() == [(subject(swift, container, "same"), "modified")]


def test_tells_the_first_objects_if_asked_to(swift, client, container, make):
    client.put_object(container, "first", b"")
    poller = make(container, initial="created")
    assert poller.get_new_events() == [(subject(swift, container, "first"), "created")]


def test_names_may_hold_anything(client, container, make):
    names = ["a b", "a/b", "a?b", "a#b", "a&name=b", "a%20b", "a+b", "\N{SNOWMAN}", "a\nb", "a:@b"]
    poller = make(container)
    for name in names:
        client.put_object(container, name, b"")
    events = poller.get_new_events()
    assert {event for _, event in events} == {"created"}
    assert {found for found, _ in events} == {f"{poller.url}&name={quote(name)}" for name in names}


def fill(swift, client, container, names):
    """Tell the container server of objects, as the object servers do when they have one."""
    account = client.get_auth()[0].rsplit("/", 1)[1]
    digest = hashlib.md5(f"a/{account}/{container}b".encode()).hexdigest()
    partition = int(digest[:8], 16) >> 28  # by the affixes and the power of 2 of the ring
    connection = http.client.HTTPConnection("127.0.0.1", swift.container_port, timeout=30)
    with contextlib.closing(connection):
        for name in names:
            headers = {
                "X-Timestamp": f"{time.time():.5f}",
                "X-Size": "0",
                "X-Etag": "d41d8cd98f00b204e9800998ecf8427e",
                "X-Content-Type": "text/plain",
                "Content-Length": "0",
            }
            path = quote(f"/d1/{partition}/{account}/{container}/{name}")
            connection.request("PUT", path, headers=headers)
            response = connection.getresponse()
            response.read()
            assert response.status == 201


def test_containers_may_be_larger_than_one_page(swift, client, container, make):
    poller = make(container)
    names = [f"{number:05} of many" for number in range(10_500)]
    fill(swift, client, container, names)
    assert len(client.get_container(container)[1]) == 10_000
    events = poller.get_new_events()
    assert events == [(subject(swift, container, name), "created") for name in names]

    client.put_object(container, names[10_400], b"on the second page")
    assert poller.get_new_events() == [(subject(swift, container, names[10_400]), "modified")]


def test_an_outage_loses_nothing(swift, client, container, make):
    client.put_object(container, "gone", b"")
    poller = make(container, timeout=0.5)
    client.put_object(container, "new", b"")
    client.delete_object(container, "gone")
    os.kill(swift.proxy_pid, signal.SIGSTOP)
    try:
        with pytest.raises(SourceError, match=r"timed out"):
            poller.get_new_events()
    finally:
        os.kill(swift.proxy_pid, signal.SIGCONT)
    poller._connection.timeout = 30
    assert poller.get_new_events() == [
        (subject(swift, container, "gone"), "deleted"),
        (subject(swift, container, "new"), "created"),
    ]


def test_a_token_that_has_expired_is_renewed(swift, client, container, make):
    poller = make(container)
    poller._connection.token = "AUTH_expired"
    client.put_object(container, "new", b"")
    assert poller.get_new_events() == [(subject(swift, container, "new"), "created")]


def failure(make, *args, **kwargs):
    """Return the message of making a poller that cannot be, and all that is told with it."""
    with pytest.raises(SourceError) as caught:
        make(*args, **kwargs)
    return str(caught.value), "".join(traceback.format_exception(caught.value))


def test_a_missing_container_is_an_error(swift, make, caplog):
    caplog.set_level(logging.DEBUG)
    message, told = failure(make, "missing")
    place = f"swift://{swift.host}/auth/v1.0?missing"
    assert message == f"{place} cannot be listed: there is no container 'missing'"
    assert_secret_is_kept(told + caplog.text)


def test_a_container_that_goes_is_an_error_until_it_is_back(swift, client, container, make):
    client.put_object(container, "first", b"")
    poller = make(container)
    client.delete_object(container, "first")
    client.delete_container(container)
    with pytest.raises(SourceError, match="there is no container"):
        poller.get_new_events()
    client.put_container(container)
    assert poller.get_new_events() == [(subject(swift, container, "first"), "deleted")]


def test_a_wrong_password_is_an_error(container, make, caplog):
    caplog.set_level(logging.DEBUG)
    message, told = failure(make, container, password=QUOTED[::-1].replace("%", ""))
    assert "the user, the tenant or the password is refused" in message
    assert_secret_is_kept(told + caplog.text)
    assert_secret_is_kept((told + caplog.text)[::-1])


@pytest.mark.parametrize("version", [1, 2, 3])
def test_no_server_is_an_error(make, caplog, version):
    caplog.set_level(logging.DEBUG)
    host = f"127.0.0.1:{free_ports(1)[0]}"
    message, told = failure(make, "any", host=host, path="", auth_version=version)
    assert "refused" in message
    assert_secret_is_kept(told + caplog.text)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_server_that_does_not_answer_is_an_error(make, version):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        message, _ = failure(make, "any", host=host, path="", auth_version=version, timeout=0.2)
    assert "timed out" in message


def test_no_authentication_there_is_an_error(container, make):
    message, told = failure(make, container, path="/nothing/here")
    assert "the authentication failed" in message
    assert_secret_is_kept(told)


@pytest.mark.parametrize(("version", "path"), [(3, ""), (3, "/v3"), (2, ""), (2, "/v2.0/")])
def test_keystone_is_asked_for_the_token(keystone, client, container, make, caplog, version, path):
    caplog.set_level(logging.DEBUG)
    poller = make(container, host=keystone.host, path=path, auth_version=version)
    client.put_object(container, "new", b"")
    subject = f"swift://{keystone.host}{path}?{quote(container)}&name=new"
    assert poller.get_new_events() == [(subject, "created")]
    assert keystone.asked == 1
    assert_secret_is_kept(caplog.text + repr(poller) + poller.url)


def test_keystone_of_version_3_is_the_default(keystone, container):
    url = f"swift://{USER}+{TENANT}:{QUOTED}@{keystone.host}?{quote(container)}"
    with contextlib.closing(SwiftPoller(url)) as poller:
        assert poller.get_new_events() == []


def test_keystone_is_asked_again_when_its_token_has_expired(keystone, client, container, make):
    poller = make(container, host=keystone.host, path="", auth_version=3)
    poller._connection.token = "AUTH_expired"
    client.put_object(container, "new", b"")
    assert [event for _, event in poller.get_new_events()] == ["created"]
    assert keystone.asked == 2


@pytest.mark.parametrize(
    "options", [{"user_domain_name": "Elsewhere"}, {"project_domain_id": "elsewhere"}]
)
def test_keystone_refuses(keystone, container, make, options):
    message, told = failure(
        make, container, host=keystone.host, path="", auth_version=3, options=options
    )
    assert "the user, the tenant or the password is refused" in message
    assert_secret_is_kept(told)


@pytest.mark.parametrize("version", [2, 3])
def test_the_region_may_be_chosen(keystone, container, make, version):
    there = {"host": keystone.host, "path": "", "auth_version": version}
    make(container, **there, options={"region_name": REGION})
    message, _ = failure(make, container, **there, options={"region_name": "elsewhere"})
    assert "object-store service in elsewhere region not found" in message
