"""What the documents show is what works."""

import json
import os
import re
import textwrap
from pathlib import Path

import jsonschema

from inotifier import events
from inotifier.events import Event
from tests.waiting import wait_for

DOCS = Path(__file__).parents[2] / "docs"


def code_blocks(page: Path, language: str = "python") -> list[str]:
    """Return the blocks of code in a page that are in that language."""
    found = re.findall(
        rf"^\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)",
        page.read_text(encoding="utf-8"),
        re.M,
    )
    return [textwrap.dedent(block) for block in found]


def test_the_settings_that_take_the_place_of_pyinotifyd(watching, tmp_path, caplog):
    (tmp_path / "src" / "tmp").mkdir(parents=True)
    (tmp_path / "dst").mkdir()
    index = tmp_path / "index.sh"
    index.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/index\n')
    index.chmod(0o755)
    _, block = code_blocks(DOCS / "migrating-from-pyinotifyd.rst")
    for theirs, ours in {
        "/src_path": f"{tmp_path}/src",
        "/dst_path": f"{tmp_path}/dst",
        "/usr/local/bin/index.sh": str(index),
        "delay=5": "delay=0.2",
        "delay=20": "delay=0.2",
    }.items():
        assert theirs in block
        block = block.replace(theirs, ours)
    settings: dict[str, object] = {}
    exec(block, settings)

    caplog.set_level("INFO")
    watching(*settings["INOTIFIER_WATCH_PATHS"])
    for name in ("a.to_move", "b.to_delete", "c", "tmp/d"):
        (tmp_path / "src" / name).write_text(name)
    wait_for(lambda: (tmp_path / "dst" / "a").exists())
    wait_for(lambda: not (tmp_path / "src" / "b.to_delete").exists())
    wait_for(lambda: f"{tmp_path}/src/c has settled" in caplog.text)
    wait_for(lambda: len((tmp_path / "index").read_text().splitlines()) == 3)
    assert (tmp_path / "src" / "tmp" / "d").exists()
    assert "tmp/d" not in caplog.text


def test_the_form_of_an_event():
    [block] = code_blocks(DOCS / "other-processes.rst", "json")
    event = Event.from_json(block)
    assert os.fsencode(event.name) == b"caf\xe9.csv"
    written = json.loads(event.to_json(processor="inotifier.bridge.RedisPublisher"))
    assert written == json.loads(block)
    schema = json.loads(Path(events.__file__).with_name("event.schema.json").read_bytes())
    jsonschema.validate(written, schema)
    assert written.keys() | {"quoted"} == schema["properties"].keys()
