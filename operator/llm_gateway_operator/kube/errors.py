"""What can go wrong between us and the API server. No exception of a library leaves this package.

A message names the verb, the object and what the server said, never what was sent: that may be a Secret.
"""

# What stays wrong until somebody changes an object or a setting; all else may succeed when tried again.
_LASTING = frozenset({400, 404, 405, 406, 413, 415, 422})

# What an API server says with a 500 when it cannot read an apply: a field that the schema does not know, a value of the
# wrong type, bytes that are no base64.
_UNREADABLE = ("failed to create typed patch object", "failed to convert new object")


class KubeError(Exception):
    """Base. `transient`: the same call may succeed later without anybody changing anything.

    `retry_after`: seconds that the server asked to be left alone, or None.
    """

    transient = True
    retry_after: float | None = None


class ApiError(KubeError):
    """The server answered, and refused. `reason` is a constant of Kubernetes' (`NotFound`, `Conflict`, `Invalid`,
    `Forbidden`, ...), or "" when the answer was no Status object.

    403 counts as transient: a missing role, an exceeded quota or a Pod Security level is mended elsewhere.
    """

    def __init__(
        self,
        call: str,
        status: int,
        reason: str,
        message: str,
        retry_after: float | None = None,
        about: str | None = None,
    ) -> None:
        super().__init__(f"{call}: {status} {reason}: {message}" if reason else f"{call}: {status} {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.about = about  # the object that the refusal names

    @property
    def transient(self) -> bool:  # type: ignore[override]
        unreadable = self.status == 500 and self.message.startswith(_UNREADABLE)
        return self.status not in _LASTING and not unreadable

    @property
    def not_found(self) -> bool:
        """404: the object, its namespace, or the whole kind is not there."""
        return self.status == 404

    def says_absent(self, name: str) -> bool:
        """Whether the server says of this very object that it does not exist, and not that its kind is not served."""
        return self.status == 404 and self.reason == "NotFound" and self.about == name

    @property
    def conflict(self) -> bool:
        """409: another resourceVersion, uid or field owner than the call relied on, or the name is taken."""
        return self.status == 409


class Unreachable(KubeError):
    """No answer: refused, broken, not in time. A write may or may not have happened."""


class NotLeading(KubeError):
    """A write was not sent, because the Lease is not ours (any more)."""


class NoCredentials(KubeError):
    """Neither a service account nor a usable kubeconfig."""

    transient = False


class WatchEnded(KubeError):
    """The watches ended although nobody asked them to; the process has to be started again."""
