"""Signals wait where they would do harm: while LLVM works, and within an iteration."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import gcp
from gcp.base import signals
from gcp.base.compiler import machine
from gcp.base.compiler.jit import jit_closure

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


class Sender:
    """Sends a signal to this process whenever LLVM is asked for a machine, or at the first few times."""

    def __init__(self, number, most):
        self.number, self.most = number, most
        self.count = 0

    def __call__(self):
        if self.count < self.most:
            self.count += 1
            os.kill(os.getpid(), self.number)
        return MACHINE()


MACHINE = machine._machine


@pytest.fixture
def interruptible():
    """Also where the shell that began the tests has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def send(interruptible, monkeypatch):
    """Sends signals from within the compiler while installed."""

    def install(number, most=10**9):
        sender = Sender(number, most)
        monkeypatch.setattr(machine, "_machine", sender)
        return sender

    return install


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
        function = jit_closure(lambda x: x + 1, "", fastmath=())
        sender = send(signal.SIGINT)

        compiled_at = []

        def call():
            function(1.0)
            compiled_at.append(time.monotonic())
            time.sleep(5)

        with pytest.raises(KeyboardInterrupt), signals.uninterrupted_compilation():
            call()
        assert time.monotonic() - compiled_at[0] < 4
        assert sender.count > 1
        assert len(function.signatures) == 1

    def test_until_a_library_has_done_its_work(self, seen):
        """What its Python code would not survive."""
        scope = {"__name__": "llvmlite.binding", "kill": os.kill, "me": os.getpid(), "seen": seen}
        exec(f"def carry():\n    kill(me, {int(signal.SIGTERM)})\n    return list(seen)", scope)
        with signals.uninterrupted_compilation():
            assert scope["carry"]() == []
            wait_for(lambda: seen == [signal.SIGTERM])

    def test_elsewhere_at_once_and_handlers_are_put_back(self, seen):
        mine = signal.getsignal(signal.SIGTERM)
        with signals.uninterrupted_compilation():
            os.kill(os.getpid(), signal.SIGTERM)
            assert seen == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is mine

    def test_a_signal_still_waiting_at_the_end_is_not_lost(self, send, seen):
        send(signal.SIGTERM)
        with signals.uninterrupted_compilation():
            jit_closure(lambda x: x + 2, "", fastmath=())(1.0)
        wait_for(lambda: seen)

    def test_other_threads_leave_signals_alone(self):
        before = signal.getsignal(signal.SIGINT)
        found = []

        def work():
            with signals.uninterrupted_compilation():
                found.append(signal.getsignal(signal.SIGINT))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert found == [before]


class TestFit:
    def test_an_interrupt_in_a_compilation_is_an_interrupt(self, send):
        number = float(time.time_ns())  # a formula that no earlier run has left on disk
        loss = gcp.custom_loss(lambda x, m: (x - m) ** 4 / number, name="fourth")
        send(signal.SIGINT, most=1)  # another would hit what comes after the fit
        try:
            status = gcp.fit_gcp(np.ones((3, 4, 5)), 1, loss=loss, n_starts=10**9, max_seconds=20).status
        except KeyboardInterrupt:  # before there was a model
            status = "interrupted"
        assert status == "interrupted"


class TestIterations:
    def test_a_signal_waits_until_it_is_delivered_and_a_second_one_does_not(self, interruptible):
        reached = []

        def iterate(second):
            with signals.uninterrupted_iterations() as pending:
                signal.raise_signal(signal.SIGINT)
                reached.append(bool(pending))
                if second:
                    signal.raise_signal(signal.SIGINT)
                else:
                    pending.deliver()
                reached.append("after")

        for second in (False, True):
            with pytest.raises(KeyboardInterrupt):
                iterate(second)
        assert reached == [True, True]

    def test_it_comes_at_the_end_at_the_latest_and_handlers_are_put_back(self, interruptible, seen):
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        with signals.uninterrupted_iterations():
            os.kill(os.getpid(), signal.SIGTERM)
            assert seen == []
        assert seen == [signal.SIGTERM]

        def fail():
            with signals.uninterrupted_iterations():
                os.kill(os.getpid(), signal.SIGTERM)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert seen == [signal.SIGTERM] * 2
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before

    def test_signals_that_are_ignored_stay_ignored(self, interruptible):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with signals.uninterrupted_iterations() as pending:
            signal.raise_signal(signal.SIGINT)
            assert not pending


def test_sigterm_ends_a_command_like_an_interrupt(seen):
    status = []

    def command():
        with signals.terminated_like_interrupted() as ending:
            status.append(ending.status)
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                status.append(ending.status)

    with pytest.raises(signals.Terminated):
        command()
    assert (status, seen) == ([130, 143], [])


def interrupted_series():
    """A fit catches the signal, and its series raises KeyboardInterrupt, which is no more than that."""
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1.0)
    except KeyboardInterrupt:
        pass
    raise KeyboardInterrupt


def test_a_series_of_fits_that_sigterm_ended_ends_the_command_as_terminated():
    with pytest.raises(signals.Terminated), signals.terminated_like_interrupted():
        interrupted_series()


def test_an_interrupt_stays_one():
    with pytest.raises(KeyboardInterrupt) as found, signals.terminated_like_interrupted():
        raise KeyboardInterrupt
    assert not isinstance(found.value, signals.Terminated)
