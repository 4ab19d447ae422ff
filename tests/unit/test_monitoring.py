"""The parts of the status page and of the metrics that need no daemon."""

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from inotifier import checks
from inotifier.conf import conf
from inotifier.exceptions import ConfigurationError, InotifierError
from inotifier.monitoring import metrics, page, port
from inotifier.monitoring.daemon import Answer


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0.9, "0 s"),
        (59, "59 s"),
        (60, "1 min 0 s"),
        (3_725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
        (86_400 * 400, "400 d 0 h"),
    ],
)
def test_a_long_time_is_told_in_its_two_largest_units(seconds, text):
    assert page.span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 µs"),
        (0.000_25, "250 µs"),
        (0.001_5, "1.5 ms"),
        (0.25, "250 ms"),
        (1.25, "1.2 s"),
        (75, "1 min 15 s"),
    ],
)
def test_a_short_time_is_told_in_its_unit(seconds, text):
    assert page.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (0.01, "<0.1"), (0.25, "0.2"), (9.96, "10.0"), (1234.5, "1,234")]
)
def test_a_rate_has_the_digits_that_matter(number, text):
    assert page.rate(number) == text


def test_a_chart_has_a_bar_for_each_step_with_events():
    assert page.bars([]) == page.bars([0, 0]) == ""
    assert page.bars([0, 2, 0, 1]) == "M45 28v-28.0h33.75v28.0zM135 28v-14.0h33.75v14.0z"
    assert "v-1.0" in page.bars([100_000, 1])  # too small to be seen, and yet it is


def test_a_daemon_that_does_not_answer_is_described():
    for state in ("stopped", "silent", "starting", "unknown"):
        described = page.describe(Answer(state, problem="caf\udce9"), None, "", 0.0)
        assert (described["state"], described["problem"]) == (state, "caf\\xe9")
        assert described["advice"]


def test_a_daemon_whose_main_thread_is_stuck_is_not_well():
    assert Answer("running", {"since_tick": 29.0}).is_healthy
    assert not Answer("running", {"since_tick": 31.0}).is_healthy


# Metrics.


def entry(name: str, **figures) -> dict:
    return {
        "name": name,
        "seen": 3,
        "delivered": 2,
        "failed": 1,
        "retried": 0,
        "ignored": 0,
        "pending": 0,
        "problem": "",
        "watches": None,
        "masks": {"IN_CREATE": 2, "IN_CREATE|IN_ISDIR": 1},
        "durations": [1, 1, 1],
        "seconds": 2.5,
        **figures,
    }


def figures(*entries: dict, **further) -> dict:
    return {
        "started": 1.5,
        "queue_depth": 0,
        "lag": 0.0,
        "overflows": 0,
        "watches": 5,
        "watches_limit": None,
        "bounds": [0.1, 1.0],
        "entries": list(entries),
        **further,
    }


def samples(given) -> dict[tuple[str, ...], float]:
    text = generate_latest(metrics.registry_of(lambda: given)).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_entries_with_any_name_can_be_read():
    found = samples(figures(entry('"quoted"\\ \n'), entry("caf\udce9"), entry("x"), entry("x")))
    names = {labels[0] for name, *labels in found if name == "inotifier_seen_total"}
    assert names == {'"quoted"\\ \\n', "caf\\xe9", "x", "x (2)"}


def test_the_histogram_adds_up():
    found = samples(figures(entry("x")))
    ranges = [
        found["inotifier_delivery_seconds_bucket", "x", end] for end in ("0.1", "1.0", "+Inf")
    ]
    assert ranges == [1, 2, 3]
    assert found["inotifier_delivery_seconds_count", "x"] == 3
    assert found["inotifier_delivery_seconds_sum", "x"] == 2.5


def test_what_is_not_known_is_left_out():
    found = samples(figures(entry("x")))
    assert not {"inotifier_watches_limit", "inotifier_entry_watches"} & {name[0] for name in found}


def test_a_daemon_that_starts_is_up():
    assert samples({"started": 1.5}) == {
        ("inotifier_up",): 1,
        ("inotifier_start_time_seconds",): 1.5,
    }


@pytest.fixture
def without_library(monkeypatch):
    monkeypatch.setattr(metrics, "find_spec", lambda name: None)
    monkeypatch.setattr(checks, "find_spec", lambda name: None)


def test_without_the_library_it_is_said_what_to_install(without_library):
    with pytest.raises(InotifierError, match=r"pip install 'django-inotifier\[metrics\]'"):
        metrics.registry_of(dict)


def test_without_the_library_the_daemon_goes_on(without_library, settings, caplog):
    settings.INOTIFIER_METRICS_PORT = 1
    with port.expose(dict):
        pass
    assert "no metrics at 127.0.0.1:1 (INOTIFIER_METRICS_PORT)" in caplog.text


def test_the_library_is_missed_where_it_is_needed_only(without_library, settings):
    assert checks.check_metrics(None) == []
    settings.INOTIFIER_METRICS_PORT = 9419
    [warning] = checks.check_metrics(None)
    assert warning.id == "inotifier.W010"


def test_nothing_is_missed_where_the_library_is(settings):
    settings.INOTIFIER_METRICS_PORT = 9419
    assert checks.check_metrics(None) == []


# Settings.


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (None, None),
        ("", None),
        (9419, ("127.0.0.1", 9419)),
        ("9419", ("127.0.0.1", 9419)),
        ("0.0.0.0:9419", ("0.0.0.0", 9419)),
        ("[::]:9419", ("::", 9419)),
        ("localhost:1", ("localhost", 1)),
    ],
)
def test_a_port_alone_is_this_machines_own(settings, value, address):
    settings.INOTIFIER_METRICS_PORT = value
    assert conf.metrics_address == address


@pytest.mark.parametrize("value", [0, -1, 65536, True, 1.5, "port", "host:", "host:x", [], "²"])
def test_other_ports_are_refused(settings, value):
    settings.INOTIFIER_METRICS_PORT = value
    with pytest.raises(ConfigurationError, match="setting INOTIFIER_METRICS_PORT is"):
        _ = conf.metrics_address
    assert checks.check_metrics(None) == []


def test_a_token_that_is_no_text_is_refused_and_not_shown(settings):
    settings.INOTIFIER_METRICS_TOKEN = b"secret"
    with pytest.raises(ConfigurationError) as error:
        _ = conf.metrics_token
    assert "secret" not in str(error.value)
