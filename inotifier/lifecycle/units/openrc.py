"""A service script of OpenRC: openrc-run(8)."""

from __future__ import annotations

import shlex

from inotifier.lifecycle.units.facts import Facts

_TEMPLATE = """\
#!/sbin/openrc-run
# shellcheck shell=sh
# shellcheck disable=SC2034  # openrc-run reads the variables
# Made by: manage.py inotifier_unit openrc

description={title}
extra_commands="checkconfig"
extra_started_commands="reload"
description_checkconfig="Tell whether the project's settings can be used"
description_reload="Take new settings and code; if they are not good, go on as before"

{exports}

# Runs a management command in the directory of the project.
manage() {{
	cd {directory} || return
	{run}
}}

depend() {{
	need localmount
	use net logger
	after netmount
}}

checkconfig() {{
	ebegin "Checking the settings of $RC_SVCNAME"
	manage check
	eend $?
}}

start_pre() {{
	checkconfig
}}

start() {{
	ebegin "Starting $RC_SVCNAME"
	manage inotifier_start
	eend $?
}}

stop() {{
	ebegin "Stopping $RC_SVCNAME"
	manage inotifier_stop
	eend $?
}}

reload() {{
	checkconfig || return
	ebegin "Reloading $RC_SVCNAME"
	manage inotifier_reload
	eend $?
}}

status() {{
	manage inotifier_status
}}
"""


def render(facts: Facts) -> str:
    """Return the script."""
    return _TEMPLATE.format(
        title=shlex.quote(facts.title),
        exports="\n".join(
            f"export {name}={shlex.quote(value)}" for name, value in facts.environment.items()
        ),
        directory=shlex.quote(facts.directory),
        run=_run(facts),
    )


def _run(facts: Facts) -> str:
    """Return the line of the shell that runs "$@", a command of the project, as its user."""
    before, after = shlex.join(facts.command), shlex.join(facts.options)
    if facts.changes_user or facts.user == "root":
        return f'{before} "$@" {after}'.rstrip()
    # One text for the other user's shell: what else follows, not every su hands on alike.
    text = shlex.quote(f"exec {before} ") + '"$*"' + (shlex.quote(f" {after}") if after else "")
    return f"su -s /bin/sh -c {text} {shlex.quote(facts.user)}"
