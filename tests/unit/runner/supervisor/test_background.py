"""Bounds of what nobody's operation wrote."""

from __future__ import annotations

from sandbank_runner.supervisor.background import MINUTE_BYTES, BackgroundOutput
from sandbank_runner.v1.runner_pb2 import Background, FromRunner


class Bench:
    """Somebody who listens, or not, and a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.listening = True
        self.told: list[Background] = []
        self.output = BackgroundOutput(self._tell, lambda: self.now)

    def _tell(self, message: FromRunner) -> bool:
        if self.listening:
            self.told.append(message.background)
        return self.listening


def test_a_minute_has_its_bound_and_the_next_begins_anew():
    """What is beyond is counted in the next message."""
    bench = Bench()
    for _ in range(20):
        bench.output.output(1, b"x" * 65536)
    assert sum(len(each.data) for each in bench.told) == MINUTE_BYTES
    bench.now += 60
    bench.output.output(2, b"next")
    assert bench.told[-1] == Background(stream=2, data=b"next", dropped_bytes=4 * 65536, sequence=17)
    bench.output.output(2, b"on")
    assert bench.told[-1].dropped_bytes == 0


def test_what_nobody_hears_is_counted_too():
    """And uses up neither sequence nor bound."""
    bench = Bench()
    bench.listening = False
    bench.output.output(1, b"lost")
    bench.listening = True
    bench.output.output(1, b"heard")
    assert bench.told == [Background(stream=1, data=b"heard", dropped_bytes=4, sequence=1)]
