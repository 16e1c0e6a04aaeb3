"""Workers that are replicas of Ray Serve, on this machine or on a cluster: the engine's end.

A hand's link is one call, `Replica.talk`, that lasts as long as the replica: it takes the only place that a
replica has, so that each hand has one to itself. Which one that is, and its replacement when it dies, is
Serve's work; the queue, the limits and the jobs stay where they are.
"""

import logging
import os
import queue
import threading
from typing import Any, Final

from controlnet.errors import MissingExtra, SettingError
from controlnet.service.box import Box
from controlnet.service.catalog import Catalog
from controlnet.service.limits import Limits
from controlnet.service.link import Message
from controlnet.service.replica import Replica
from controlnet.service.settings import Settings

log = logging.getLogger(__name__)

APPLICATION: Final = "controlnet"
LOOK: Final = 2.0  # seconds between Serve's looks at a replica, after which it replaces a dead one
LEAVE: Final = 10.0  # seconds for a replica to end its talk before it is killed


class Replicas:
    """So many replicas; each needs as many cores as its worker has threads, and its share of the GPUs.

    address: a cluster's, "auto" for the one of this machine; None takes RAY_ADDRESS, or starts Ray here, for
    this machine alone. Bases and ControlNets must lie under the same paths on all nodes. Raises MissingExtra
    without Ray Serve, and SettingError where there is no such cluster.
    """

    def __init__(
        self, catalog: Catalog, settings: Settings, limits: Limits, count: int, address: str | None = None
    ) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray  # pyright: ignore[reportMissingImports] # an extra
            from ray import serve  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise MissingExtra(
                "replicas need Ray Serve; install the extra: pip install 'controlnet[ray-serve]'"
            ) from error
        self.names = tuple(f"replica {number}" for number in range(count))
        threads = settings.threads or 1
        self._ours = not ray.is_initialized()
        if self._ours:
            _join(address, cores=count * threads + 1)
        gpus = min(1.0, ray.cluster_resources().get("GPU", 0.0) / count)
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        serve.start(proxy_location="Disabled")  # nobody but the engine speaks to a replica
        deployment: Any = serve.deployment(Replica)
        deployed = deployment.options(
            name="worker",
            num_replicas=count,
            max_ongoing_requests=1,
            graceful_shutdown_timeout_s=LEAVE,
            health_check_period_s=LOOK,
            ray_actor_options={"num_cpus": threads, "num_gpus": gpus},
            logging_config={"log_level": "WARNING", "enable_access_log": False},
        )
        target = serve.RunTarget(deployed.bind(catalog, settings, limits), APPLICATION, route_prefix=None)
        # Not waiting for them: the service answers meanwhile, and is ready with the first.
        (handle,) = serve.run_many([target], wait_for_applications_running=False)
        self._handle = handle.options(stream=True)

    def start(self, name: str) -> "Talk":
        """Begin a talk with the next replica that is free."""
        try:
            return Talk(self._handle)
        except Exception as error:  # of Ray's many kinds
            raise OSError(f"{type(error).__name__} of Ray") from error

    def stop(self) -> None:
        """Let the replicas go, and Ray where it was started here."""
        import ray  # pyright: ignore[reportMissingImports]
        from ray import serve  # pyright: ignore[reportMissingImports]

        try:
            serve.delete(APPLICATION)
        except Exception as error:  # of Ray's many kinds: there is nothing left to let go
            log.warning("Ray did not take back the replicas (%s)", type(error).__name__)
        if self._ours:
            ray.shutdown()


class Talk:
    """The link to a replica."""

    def __init__(self, handle: Any) -> None:
        import ray  # pyright: ignore[reportMissingImports]

        self._box: Any = ray.remote(num_cpus=0)(Box).remote()
        self._stream = handle.talk.remote(self._box)
        self._told: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._over = threading.Event()
        self._how, self._replica = "it hung up", ""
        threading.Thread(target=self._listen, name="controlnet talk", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether the talk goes on."""
        return not self._over.is_set()

    def send(self, message: Message) -> None:
        """Tell the worker; OSError where that cannot be."""
        import ray  # pyright: ignore[reportMissingImports]

        try:
            self._box.put.remote([ray.put(message)])
        except Exception as error:
            raise OSError(f"{type(error).__name__} of Ray") from error

    def receive(self, seconds: float) -> Message | None:
        """Return its next message; None where none came in time, or none will ever come."""
        try:
            return self._told.get(timeout=seconds)
        except queue.Empty:
            return None

    def how(self) -> str:
        """Tell what Ray said of its end."""
        return self._how

    def cut(self) -> None:
        """Hang up; a replica that does not hear it is killed, and Serve starts another one."""
        import ray  # pyright: ignore[reportMissingImports]

        try:
            ray.kill(self._box)
            if self._replica and not self._over.wait(LEAVE):
                ray.kill(ray.get_actor(self._replica, namespace="serve"))
            self._stream.cancel()
        except Exception as error:  # it is gone by itself
            log.debug("the end of a talk: %s", error)

    def _listen(self) -> None:
        try:
            for message in self._stream:
                if message[0] == "here":
                    self._replica = message[1]
                else:
                    self._told.put(message)
        except Exception as error:  # of Ray's many kinds
            self._how = type(error).__name__
        self._over.set()
        self._told.put(None)  # wakes who waits


def _join(address: str | None, cores: int) -> None:
    import ray  # pyright: ignore[reportMissingImports]

    how: dict[str, Any] = {}
    if address is None and not os.environ.get("RAY_ADDRESS"):
        # Nothing of a Ray that is this service's own is reached from elsewhere.
        os.environ.setdefault("RAY_worker_niceness", "0")  # by default they run behind all else
        how = {"num_cpus": cores, "_node_ip_address": "127.0.0.1", "include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, **how)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"at {address}" if address else "here"
        raise SettingError(
            f"Ray cannot be reached {where} ({str(error).splitlines()[0]}); wanted --address of a running "
            "cluster, such as 10.0.0.1:6379, or none"
        ) from error
