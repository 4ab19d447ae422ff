"""An FTP server, to be run: `python -m tests.ftp_server PORT DIRECTORY USER PASSWORD`.

A directory that holds a file `.closed` cannot be listed.
"""

import sys
from pathlib import Path

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer


class Authorizer(DummyAuthorizer):
    def has_perm(self, username, perm, path=None):
        closed = path is not None and (Path(path) / ".closed").exists()
        return not closed and super().has_perm(username, perm, path)


def main(port: str, directory: str, user: str, password: str) -> None:
    authorizer = Authorizer()
    authorizer.add_user(user, password, directory)
    FTPHandler.authorizer = authorizer
    FTPHandler.auth_failed_timeout = 0  # it would wait for 3 s before it says so
    FTPServer(("127.0.0.1", int(port)), FTPHandler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
