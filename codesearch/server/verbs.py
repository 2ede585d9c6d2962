"""What answers requests, whichever way they come: verbs by name, plain data in and out, from any thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from codesearch.server.indexing import Check, Tell
from codesearch.shape import Object

if TYPE_CHECKING:
    from codesearch.events import Event


def nobody(_: object = None) -> None:
    """Listen to nothing."""


class Verbs(Protocol):
    """What can be asked: of a folder (`methods.Methods`), or of a store (`store_methods.StoreMethods`)."""

    @property
    def names(self) -> frozenset[str]:
        """The verbs that `call` knows."""
        ...

    def call(self, name: str, params: object = None, tell: Tell = nobody, check: Check = nobody) -> Object:
        """Carry out the verb NAME and return its result.

        What long work reports goes to TELL; CHECK raises where nobody waits any more.

        Raises:
            KeyError: there is no such verb.
            ParamsError: PARAMS make no sense.
            CancelledError: CHECK raised it.
            CodesearchError: it can not be done.
        """
        ...

    def initialize(self, params: object) -> Object:
        """Begin a conversation: say what is served."""
        ...

    def listen(self, tell: Callable[[Event | None], None]) -> None:
        """Let TELL hear of work that goes on when the request that began it is answered; of None when it is done."""
        ...

    def load(self) -> None:
        """Load the libraries that answering needs, in the background."""
        ...

    def warm_up(self) -> None:
        """Have ready, in the background, what the first question would wait for."""
        ...

    def close(self) -> None:
        """Stop what is under way."""
        ...
