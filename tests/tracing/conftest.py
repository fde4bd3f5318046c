"""What tests of traces share."""

from collections.abc import Iterator

import pytest

from tests.tracing.collector import Collector


@pytest.fixture
def collector() -> Iterator[Collector]:
    started = Collector()
    yield started
    started.stop()
