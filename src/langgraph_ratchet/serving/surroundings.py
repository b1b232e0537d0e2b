"""Everything around an application that a server needs: metrics, keys, limits, health, and a graceful end."""

from collections.abc import Callable, Collection

from starlette.middleware import Middleware
from starlette.routing import Route

from langgraph_ratchet.serving.admission import Admission
from langgraph_ratchet.serving.authentication import Authentication
from langgraph_ratchet.serving.drain import Drain
from langgraph_ratchet.serving.health import HEALTH, READY, health_routes
from langgraph_ratchet.serving.keys import KeyFile
from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.metrics import METRICS, Measured, Metrics


class Surroundings:
    """Gives an application the routes and the middleware to pass to it.

    Args:
        keys: the API keys; `None` serves anybody.
        keys_required: whether a key is needed even while there are none.
        limits: see there.
        unready: why requests would not be answered yet; `None` when they would.
        held_paths: where a GET lasts as long as its client is connected; the end does not wait for it.
    """

    def __init__(
        self,
        *,
        keys: KeyFile | None = None,
        keys_required: bool = False,
        limits: Limits | None = None,
        unready: Callable[[], str | None] = lambda: None,
        held_paths: Collection[str] = (),
    ) -> None:
        self.limits = limits or Limits()
        self.drain = Drain()
        self.metrics = Metrics()
        self._keys = keys
        self._keys_required = keys_required
        self._unready = unready
        self._held_paths = held_paths

    def routes(self) -> list[Route]:
        """`/health`, `/ready` and `/metrics`."""
        return [*health_routes(self.drain, self._unready), self.metrics.route()]

    def middleware(self) -> list[Middleware]:
        """What requests pass, outermost first: who has no key learns nothing, and takes no place."""
        admission = Middleware(
            Admission,
            limits=self.limits,
            drain=self.drain,
            open_paths=(HEALTH, READY, METRICS),
            held_paths=self._held_paths,
        )
        if self._keys is None:
            return [Middleware(Measured, metrics=self.metrics), admission]
        authentication = Middleware(
            Authentication, keys=self._keys, required=self._keys_required, open_paths=(HEALTH, READY)
        )
        return [Middleware(Measured, metrics=self.metrics), authentication, admission]
