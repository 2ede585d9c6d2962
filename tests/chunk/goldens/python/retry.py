#!/usr/bin/env python3
# Copyright 2025 The Example Authors. Licensed under the Apache License.
"""Retries with exponential back-off and jitter.

Nothing here knows about HTTP; see `client.py` for that.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_ATTEMPTS = 5
RETRYABLE = (ConnectionError, TimeoutError)


class RetryError(Exception):
    """Every attempt failed."""


class Backoff:
    """Waits that grow, and are shaken so that clients do not march in step."""

    base: float = 0.1
    cap: float = 30.0

    def __init__(self, base: float = 0.1, *, cap: float = 30.0) -> None:
        self.base = base
        self.cap = cap

    # Full jitter: anywhere between nothing and the ceiling.
    def delays(self) -> Iterator[float]:
        attempt = 0
        while True:
            yield random.uniform(0, min(self.cap, self.base * 2**attempt))
            attempt += 1

    @property
    def ceiling(self) -> float:
        "The longest wait."
        return self.cap

    @ceiling.setter
    def ceiling(self, value: float) -> None:
        if value <= 0:
            raise ValueError(value)
        self.cap = value

    total = property(lambda self: self.cap * DEFAULT_ATTEMPTS)

    async def sleep(self, attempt: int) -> None: ...

    class Journal:
        """What happened, for the log."""

        def __init__(self):
            self.lines = []


@overload
def retry(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def retry(*, attempts: int = ...) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


# Used as a decorator, with or without arguments.
#
# The last exception is chained.
@functools.lru_cache(
    maxsize=None,
)
def retry(function=None, /, *, attempts=DEFAULT_ATTEMPTS):
    r"""Call again on errors that pass, such as a connection reset.

    A line with a backslash \d and 'quotes'.
    """

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            delays = Backoff().delays()
            for _ in range(attempts):
                try:
                    return function(*args, **kwargs)
                except RETRYABLE as error:
                    last = error
                    time.sleep(next(delays))
            raise RetryError(function.__name__) from last

        return wrapper

    return decorate if function is None else decorate(function)


shout = lambda text: text.upper() + "!"


def once(function): return function


if __name__ == "__main__":
    print(shout("ready"))
