"""What deliveries mean for the record, from several threads."""

import threading

from pyinotify import IN_ISDIR, IN_MOVED_FROM, IN_MOVED_TO

from inotifier.books import Books
from inotifier.events import Event
from inotifier.state import MemoryLedger

ROOT = "/srv/in"
THREADS, MOVES = 4, 3000


def moved(name: str, mask: int, cookie: int, source: str | None = None) -> Event:
    return Event(mask=mask, path=ROOT, name=name, cookie=cookie, src_pathname=source)


def test_many_threads_may_deliver_moves_at_once():
    books = Books(MemoryLedger(ROOT), IN_MOVED_FROM | IN_MOVED_TO)
    failures: list[Exception] = []

    def deliver(thread: int) -> None:
        try:
            for number in range(thread, MOVES * THREADS, THREADS):
                name, cookie = f"f{number}", number + 1
                books.delivered(moved(name, IN_MOVED_FROM, cookie), None)
                if number % 3:
                    directory = moved(f"d{number}", IN_MOVED_FROM | IN_ISDIR, cookie)
                    books.delivered(directory, None)
                    arrival = moved(
                        f"e{number}", IN_MOVED_TO | IN_ISDIR, cookie, directory.pathname
                    )
                    books.put_off(arrival)
                    books.delivered(arrival, None)
        except Exception as exc:
            failures.append(exc)

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert books.known(f"{ROOT}/f1") is None
