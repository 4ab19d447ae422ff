"""One server for all tests of the session, empty at the beginning of each."""

import pytest

from tests.redis_server import RedisServer, need_redis


@pytest.fixture(autouse=True)
def _own_thread_consumes(django_db_blocker):
    """Let a consumer in this thread look after the connections that other tests have opened."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="session")
def shared_server():
    need_redis()
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(shared_server, settings):
    """A server without data, which the settings name."""
    settings.INOTIFIER_REDIS_URL = shared_server.url
    shared_server.empty()
    return shared_server


@pytest.fixture
def own_server(settings):
    """A server of the test's own, which writes everything to its disk at once."""
    need_redis()
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        settings.INOTIFIER_REDIS_URL = server.url
        yield server


@pytest.fixture
def client(server):
    client = server.client()
    yield client
    client.close()
