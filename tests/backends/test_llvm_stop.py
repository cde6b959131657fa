"""Long calls of compiled code: Ctrl-C stops them, signals are handled, and other threads go on."""

import os
import signal
import threading
import time
import traceback
from typing import Any

import numpy as np
import pytest

from lms.core.types import f64, i64
from tests.support.build import Emit, vector
from tests.support.entries import BOTH, careful


def spin(e: Emit, n: Any) -> Any:
    return e.loop(0, n, [0.0], lambda i, s: e.add(e.mul(s, 0.5), e.convert(i, dtype=f64)))


@BOTH
@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals here")
def test_ctrl_c_stops_a_loop_within_a_second_and_the_next_call_works(make: Any) -> None:
    f = make([i64], spin)
    expected = f(10)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt) as caught:
        f(10**12)
    assert time.perf_counter() - start < 1.2
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "f"
    timer.join()
    assert f(10) == expected


@BOTH
def test_a_signal_handler_that_returns_lets_the_call_go_on(make: Any) -> None:
    f = make([i64], spin)
    expected = f(150_000_000)
    seen: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert f(150_000_000) == expected
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen == [signal.SIGALRM]


@BOTH
def test_other_threads_run_during_a_long_call(make: Any) -> None:
    f = make([i64], spin)
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    f(200_000_000)
    end = time.perf_counter()
    stop.set()
    thread.join()
    assert sum(start < t < end for t in ticks) > 10


@BOTH
def test_many_threads_call_at_once(make: Any) -> None:
    f = make([vector(), i64], careful)
    wrong: list[Any] = []

    def work(k: int) -> None:
        x = np.full(50, float(k))
        for _ in range(500):
            if f(x, 3) != k:
                wrong.append(k)
            try:
                f(x, 50)
                wrong.append("no error")
            except IndexError as e:
                if "index 50" not in str(e):
                    wrong.append(e)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
