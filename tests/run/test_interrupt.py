"""A first Ctrl-C waits for the end of a step, a second one does not."""

import signal
import threading

import pytest

from limbeck.run import interrupt
from limbeck.run.interrupt import deferred


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    now = [100.0]
    monkeypatch.setattr(interrupt.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_one_is_noted(number):
    with deferred() as stop:
        assert not stop.asked
        signal.raise_signal(number)
        assert stop.asked


def test_the_second_one_stops_at_once(clock):
    with deferred():
        signal.raise_signal(signal.SIGINT)
        clock[0] += 2
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_same_key_press_may_arrive_twice(clock):
    with deferred() as stop:
        signal.raise_signal(signal.SIGINT)
        clock[0] += 0.5
        signal.raise_signal(signal.SIGINT)
        assert stop.asked


def test_others_are_told_once(clock):
    told = []
    with deferred(lambda: told.append(1)):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert told == [1]


def test_handlers_come_back_also_after_an_error():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(ZeroDivisionError), deferred():
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_other_threads_take_no_signals():
    seen = []

    def inside():
        with deferred() as stop:
            seen.append(stop.asked)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [False]
