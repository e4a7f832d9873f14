"""A body that is held whole, so that it can be read and one value in it replaced. Pure."""

from parkmeter.proxy.request_body import Piece, RequestBody

_JOINED = 64 * 1024
"""Most bytes of a body that are sent in one piece with the head; a copy of more costs more than one
more write."""


class HeldBody(RequestBody):
    """A request's body that may be taken as a whole once it is complete; see `RequestBody`."""

    __slots__ = ()

    @property
    def size(self) -> int:
        """Return the bytes to count for it: those that are announced, or those that came."""
        return self._received if self._declared is None else self._declared

    def whole(self) -> bytes:
        """Return all of it. It stays, and is sent with its length."""
        self._chunked = False
        return self.ahead()

    def replace(self, begin: int, end: int, value: bytes) -> None:
        """Replace a part of it; after `whole`."""
        whole = self.whole()
        if len(whole) <= _JOINED:
            self._pieces = [whole[:begin] + value + whole[end:]]
        else:  # without a copy
            view = memoryview(whole)
            self._pieces = [view[:begin], value, view[end:]]
        self.waiting += len(value) - (end - begin)

    def first(self, head: bytes) -> bytes:
        """Return the head with the framing; and the body, if it is short: else `rest` has it."""
        if not self.complete or self._chunked or (self._declared is None and not self.waiting):
            return super().first(head)
        framed = b"%bContent-Length: %d\r\n\r\n" % (head, self.waiting)
        return framed + self.take() if self.waiting <= _JOINED else framed

    def rest(self) -> list[Piece]:
        """Return what `first` left, in pieces as they are."""
        pieces, self._pieces, self.waiting = self._pieces, [], 0
        return pieces
