"""Users and groups that an option names, and whether the daemon may act for them."""

from __future__ import annotations

import grp
import os
import pwd

from inotifier.conf import conf


def find_account(user: object, option: str) -> pwd.struct_passwd:
    """Return the account with the name or number `user`.

    Raises:
        TypeError, ValueError: it is neither, or not known here.
    """
    name = _name_or_number(user, option)
    try:
        return pwd.getpwuid(name) if isinstance(name, int) else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        raise ValueError(f"{option} is {user!r}, which is no user of this machine") from None


def find_user(user: object, option: str) -> int:
    """Return the number of `user`; a number need not have an account.

    Raises:
        TypeError, ValueError: it cannot be found, or the daemon may not act for it.
    """
    name = _name_or_number(user, option)
    uid = name if isinstance(name, int) else find_account(name, option).pw_uid
    refuse_other_user(uid, user, option)
    return uid


def find_group(group: object, option: str) -> int:
    """Return the number of `group`; a number need not have a name.

    Raises:
        TypeError, ValueError: it cannot be found, or the daemon may not give files to it.
    """
    name = _name_or_number(group, option)
    try:
        gid = name if isinstance(name, int) else grp.getgrnam(name).gr_gid
    except KeyError:
        raise ValueError(f"{option} is {group!r}, which is no group of this machine") from None
    uid = _daemon_uid()
    if uid and gid not in _groups_of(uid):
        raise ValueError(
            f"{option} is {group!r}, which the daemon, user {uid}, is not in; add it, "
            "or run the daemon as root"
        )
    return gid


def refuse_other_user(uid: int, user: object, option: str) -> None:
    """Raise ValueError if the daemon may not act for `uid`: only root may."""
    daemon = _daemon_uid()
    if daemon not in (0, uid):
        raise ValueError(
            f"{option} is {user!r}, but the daemon is user {daemon}; only root can act for others. "
            "Leave it out, or run the daemon as root, without INOTIFIER_USER"
        )


def _daemon_uid() -> int:
    return conf.owner[0] if conf.owner else os.geteuid()


def _groups_of(uid: int) -> list[int]:
    if uid == os.geteuid():
        return [os.getegid(), *os.getgroups()]
    account = find_account(uid, "INOTIFIER_USER")
    return os.getgrouplist(account.pw_name, account.pw_gid)


def _name_or_number(value: object, option: str) -> str | int:
    if isinstance(value, str) and value:
        return int(value) if value.isdecimal() else value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise TypeError(f"{option} is {value!r}; it should be a name or a number")
