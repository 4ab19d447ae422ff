"""What a file rule may say, and where it leads."""

import os

import pytest

from inotifier.scheduling import FileManagerRule, FileManagerScheduler


@pytest.mark.parametrize(
    ("src_re", "dst_re", "path", "target"),
    [
        (r"^/in/(?P<path>.*)\.to_move$", r"/out/\g<path>", "/in/a/b.to_move", "/out/a/b"),
        (r"/in/(.*)\.(csv|txt)$", r"/\2/\1", "/in/a.csv", "/csv/a"),
        # What has not matched stays at the end.
        (r"/in/", r"/out/", "/in/a/b", "/out/a/b"),
        (r"/in/(.*)\.to_move", r"/out/\1.moved", "/in/a.to_move.bak", "/out/a.moved.bak"),
        # Once: a name may look like its directory.
        (r"/in", r"/out", "/in/in", "/out/in"),
        # A group that took no part is empty.
        (r"/in/(x)?(.*)", r"/out/\1\2", "/in/a", "/out/a"),
        (r"/in/(.*)$", r"/out/\1", "/in/a\nb", "/out/a\nb"),
        (r"/in/(.*)$", r"/out/\1", "/in/caf\udce9", "/out/caf\udce9"),
    ],
)
def test_where_a_rule_leads(src_re, dst_re, path, target):
    rule = FileManagerRule("move", src_re, dst_re)
    assert rule.matches(path)
    assert rule.target(path) == target


def test_a_rule_matches_from_the_beginning():
    assert not FileManagerRule("delete", "/in/").matches("/other/in/a")


def test_the_arguments_stand_in_the_order_of_the_document():
    rule = FileManagerRule("delete", "/in/(.*)", "", False, True, None, None, None, None, False)
    assert repr(rule) == "<FileManagerRule delete '/in/(.*)'>"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("rename", "/in", "/out"), ValueError, "action is 'rename'; it should be one of move"),
        (("move", "/in(", "/out"), ValueError, "src_re is '/in\\(', which is no regular"),
        (("move", b"/in", "/out"), TypeError, "src_re is b'/in'"),
        (("move", "/in"), ValueError, "dst_re is empty; a rule to move has to say where to"),
        (("copy", "/in", r"/out/\1"), ValueError, "does not fit src_re: invalid group reference"),
        (("copy", "/in", r"/out/\g<x>"), ValueError, "does not fit src_re: unknown group name"),
        (("copy", "/in", 5), TypeError, "dst_re is 5"),
        (("delete", "/in", "/out"), ValueError, "what is deleted goes nowhere"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        FileManagerRule(*arguments)


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"filemode": 644}, ValueError, 'which is the mode 0o1204; write 0o644 or "0644"'),
        ({"filemode": "rw-"}, ValueError, "filemode is 'rw-'; it should be like 0o644"),
        ({"filemode": 0o10000}, ValueError, "filemode is 4096"),
        ({"filemode": True}, TypeError, "filemode is True"),
        ({"dirmode": 7.5}, TypeError, "dirmode is 7.5"),
        ({"rec": 1}, TypeError, "rec is 1; it should be True or False"),
        ({"override": "yes"}, TypeError, "override is 'yes'"),
        ({"user": "no-such-user"}, ValueError, "no user of this machine"),
        ({"user": ""}, TypeError, "user is ''"),
        ({"group": "no-such-group"}, ValueError, "no group of this machine"),
        ({"root": "srv"}, ValueError, "root is 'srv'; it should be an absolute path"),
        ({"root": 5}, TypeError, "root is 5"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(option, error, message):
    with pytest.raises(error, match=message):
        FileManagerRule("move", "/in", "/out", **option)


@pytest.mark.parametrize("mode", [0o640, "0640", "640", "0o640"])
def test_modes_may_be_text(mode):
    FileManagerRule("move", "/in", "/out", filemode=mode, dirmode=0o1777)


def test_owners_that_a_daemon_cannot_give_are_refused(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    monkeypatch.setattr(os, "getgroups", lambda: [65534])
    with pytest.raises(ValueError, match="user is 0, but the daemon is user 65534"):
        FileManagerRule("move", "/in", "/out", user=0)
    with pytest.raises(ValueError, match="group is 5, which the daemon, user 65534, is not in"):
        FileManagerRule("move", "/in", "/out", group=5)
    FileManagerRule("move", "/in", "/out", user=65534, group=65534)


def test_the_groups_of_the_user_that_the_daemon_becomes_count(settings):
    settings.INOTIFIER_USER = "nobody"
    FileManagerRule("move", "/in", "/out", group=65534)
    with pytest.raises(ValueError, match="is not in"):
        FileManagerRule("move", "/in", "/out", group="root")


def test_rules_may_be_dicts():
    scheduler = FileManagerScheduler(
        [{"action": "copy", "src_re": "/in/(.*)", "dst_re": r"/out/\1", "filemode": "0640"}],
        delay=5,
    )
    assert scheduler.mask


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        ([], ValueError, "rules is empty"),
        ("move", TypeError, "rules is 'move'; it should be a list"),
        ({"action": "delete", "src_re": "/"}, TypeError, "it should be a list of rules"),
        (FileManagerRule("delete", "/in"), TypeError, "it should be a list of rules"),
        ([("delete", "/in")], TypeError, r"rules\[0\] is \('delete', '/in'\)"),
        ([{"action": "delete"}], TypeError, r"rules\[0\]: .*src_re"),
        ([{"action": "delete", "src_re": "/", "dest": "/"}], TypeError, r"rules\[0\]: .*dest"),
        ([{"action": "erase", "src_re": "/"}], ValueError, r"rules\[0\]: action is 'erase'"),
    ],
)
def test_rules_that_cannot_be_used_are_refused(rules, error, message):
    with pytest.raises(error, match=message):
        FileManagerScheduler(rules)
