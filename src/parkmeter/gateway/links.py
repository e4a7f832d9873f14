"""The secret that signs the links in warnings, as it is in force; `parkmeter links rotate`."""

from parkmeter.state_folder import StateFolder


class LinkSecret:
    """The secret of a state folder, in memory; from any thread."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._secret = folder.link_secret()

    def __call__(self) -> bytes:
        """Return the secret in force."""
        return self._secret

    def refresh(self) -> bool:
        """Read the secret again; return True if it has changed, so that older links are invalid."""
        before, self._secret = self._secret, self._folder.link_secret()
        return before != self._secret
