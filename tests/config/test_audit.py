"""The settings that send traces of the audit log outside."""

from collections.abc import Callable

import pytest

from tests.config.conftest import Load

Lines = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("AUDIT_SYSLOG=logs.example.com", "AUDIT_SYSLOG: does not start with tls://"),
        ("AUDIT_SYSLOG=http://logs.example.com", "AUDIT_SYSLOG: does not start with tls://"),
        ("AUDIT_SYSLOG=tls://", "AUDIT_SYSLOG: does not start with tls://"),
        ("AUDIT_SYSLOG=tls://logs.example.com/x", "AUDIT_SYSLOG: contains more than a host"),
        ("AUDIT_SYSLOG=tls://a:b@logs.example.com", "AUDIT_SYSLOG: contains more than a host"),
        ("AUDIT_SYSLOG=tcp://logs.example.com:99999", "AUDIT_SYSLOG: has a host or a port"),
        ("AUDIT_ANCHOR=anchors.jws", "AUDIT_ANCHOR: is neither an absolute path"),
        ("AUDIT_ANCHOR=/mnt/worm/", "AUDIT_ANCHOR: is neither an absolute path"),
        ("AUDIT_ANCHOR=http://anchors.example.com/x", "AUDIT_ANCHOR: leads to another machine"),
        ("AUDIT_ANCHOR=ftp://anchors.example.com/x", "AUDIT_ANCHOR: does not start with https"),
        ("AUDIT_ANCHOR=https://a:b@example.com/x", "AUDIT_ANCHOR: contains a user name"),
        ("AUDIT_ANCHOR=https://example.com/x?token=geheim", "AUDIT_ANCHOR: "),
        ("AUDIT_ANCHOR_EVERY=5s", "AUDIT_ANCHOR_EVERY: "),
    ],
)
def test_a_bad_value_stops_the_start(faults: Lines, line: str, start: str) -> None:
    (fault,) = faults(line)
    assert fault.startswith(start)
    assert "Fix: " in fault


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("tls://Logs.example.com", "tls://logs.example.com:6514"),
        ("tcp://10.0.0.7", "tcp://10.0.0.7:601"),
        ("udp://[2001:db8::7]/", "udp://[2001:db8::7]:514"),
        ("tcp://logs.example.com:1514", "tcp://logs.example.com:1514"),
    ],
)
def test_the_usual_port_of_syslog_may_be_left_out(load_env: Load, text: str, value: str) -> None:
    assert load_env(f"AUDIT_SYSLOG={text}")["AUDIT_SYSLOG"] == value


@pytest.mark.parametrize(
    "text",
    ["/mnt/worm/anchors.jws", "https://anchors.example.com/gatehouse", "http://localhost:9000/x"],
)
def test_anchors_go_to_a_path_or_a_url(load_env: Load, text: str) -> None:
    assert load_env(f"AUDIT_ANCHOR={text}")["AUDIT_ANCHOR"] == text


def test_both_are_off_without_the_settings(load_env: Load) -> None:
    env = load_env("")
    assert (env["AUDIT_SYSLOG"], env["AUDIT_ANCHOR"]) == ("", "")
