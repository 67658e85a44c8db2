"""Signals in the middle of Numba's own work, which Numba alone would turn into errors of its own or lose."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from numba import njit
from numba.core import event

import gcp
from gcp.kernels.shared import compilation

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


class Sender(event.Listener):
    """Sends a signal to this process at every pass of the compiler, or at the first few."""

    def __init__(self, number, most):
        self.number, self.most = number, most
        self.count = 0

    def on_start(self, event):
        if self.count < self.most:
            self.count += 1
            os.kill(os.getpid(), self.number)

    def on_end(self, event):
        pass


@pytest.fixture
def interruptible():
    """Also where the shell that began the tests has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def send(interruptible):
    """Sends signals from within the compiler while installed."""
    senders = []

    def install(number, most=10**9):
        senders.append(Sender(number, most))
        event.register("numba:run_pass", senders[0])
        return senders[0]

    yield install
    for sender in senders:
        event.unregister("numba:run_pass", sender)


@pytest.fixture
def seen():
    """The SIGTERMs handed on."""
    numbers = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, before)


def wait_for(condition):
    """Until it holds, at most five seconds."""
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


class TestInterruptsWait:
    def test_until_the_function_is_whole(self, send):
        function = njit(lambda x: x + 1)
        sender = send(signal.SIGINT)

        compiled_at = []

        def call():
            function(1.0)
            compiled_at.append(time.monotonic())
            time.sleep(5)

        with pytest.raises(KeyboardInterrupt), compilation.interrupts_wait():
            call()
        assert time.monotonic() - compiled_at[0] < 4
        assert sender.count > 1
        assert len(function.signatures) == 1

    def test_until_numba_has_carried_the_results_over(self, seen):
        """Boxing a tuple calls Python code of Numba's, and drops what that raises."""
        scope = {"__name__": "numba.core.serialize", "kill": os.kill, "me": os.getpid(), "seen": seen}
        exec(f"def carry():\n    kill(me, {int(signal.SIGTERM)})\n    return list(seen)", scope)
        with compilation.interrupts_wait():
            assert scope["carry"]() == []
            wait_for(lambda: seen == [signal.SIGTERM])

    def test_elsewhere_at_once_and_handlers_are_put_back(self, seen):
        mine = signal.getsignal(signal.SIGTERM)
        with compilation.interrupts_wait():
            os.kill(os.getpid(), signal.SIGTERM)
            assert seen == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is mine

    def test_a_signal_still_waiting_at_the_end_is_not_lost(self, send, seen):
        send(signal.SIGTERM)
        with compilation.interrupts_wait():
            njit(lambda x: x + 2)(1.0)
        wait_for(lambda: seen)

    def test_other_threads_leave_signals_alone(self):
        before = signal.getsignal(signal.SIGINT)
        found = []

        def work():
            with compilation.interrupts_wait():
                found.append(signal.getsignal(signal.SIGINT))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert found == [before]


class TestNoticed:
    def test_once_and_only_if_something_is_compiled(self):
        told = []
        function = njit(lambda x: x + 3)
        with compilation.noticed(lambda: told.append(1)):
            function(1.0)
            function(1)
        with compilation.noticed(lambda: told.append(2)):
            function(2.0)
        njit(lambda x: x + 4)(1.0)
        assert told == [1]


class TestFit:
    def test_an_interrupt_in_a_compilation_is_an_interrupt(self, send):
        loss = gcp.custom_loss(lambda x, m: (x - m) ** 4, name="fourth")
        send(signal.SIGINT, most=1)  # another would hit what comes after the fit
        try:
            status = gcp.fit_gcp(np.ones((3, 4, 5)), 1, loss=loss, n_starts=10**9, max_seconds=20).status
        except KeyboardInterrupt:  # before there was a model
            status = "interrupted"
        assert status == "interrupted"
