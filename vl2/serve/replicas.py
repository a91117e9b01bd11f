"""The server as several replicas under Ray Serve, which spreads requests over them and starts those anew that die.

    serve run vl2.serve.replicas:app model=small replicas=4 gpus=1
    Ray's proxy, an address --least busy--> Replica: the application of vl2.serve.app in a process of its own

Replicas share nothing, so any may answer any request. The trap: what a replica was answering when it died is lost. Its
clients get a 500, upon which those of OpenAI try again by themselves; an answer that has begun to stream breaks off.
"""

import asyncio
import os
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from ray import serve  # type: ignore[import-not-found]
from starlette.types import Receive, Scope, Send

from vl2.api import Model, load
from vl2.serve.app import create_app
from vl2.serve.settings import Settings

KEYS_VARIABLE = "VL2_API_KEYS"


class ReplicaOptions(BaseModel):
    """What `serve run vl2.serve.replicas:app KEY=VALUE ...` takes; the meaning is that of `vl2 serve`.

    replicas: how many; gpus, cpus: that each of them has.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())
    model: str = "nano"
    name: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    quantize: Literal["fp8", "int4", "int8"] | None = None
    local_files_only: bool = False
    replicas: Annotated[int, Field(ge=1)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0.0
    cpus: Annotated[float, Field(ge=0)] = 1.0
    fetch: bool = True
    max_running: Annotated[int, Field(ge=1)] = 64
    max_queue: Annotated[int, Field(ge=0)] = 256
    drain_sec: Annotated[float, Field(ge=1)] = 60.0


@serve.ingress()
class Replica:
    """One server. Ray builds it in a process of its own and sends it requests once it is healthy."""

    def __init__(self, options: ReplicaOptions) -> None:
        model = self._load(options)
        keys = os.environ.get(KEYS_VARIABLE, "").split(",")
        settings = Settings(
            model_name=options.name or options.model, api_keys=tuple(key.strip() for key in keys if key.strip()),
            fetch_urls=options.fetch, max_queue=options.max_queue, drain_sec=options.drain_sec,
        )  # fmt: skip
        self._app = create_app(lambda: model, settings)

    def _load(self, options: ReplicaOptions) -> Model:
        return load(
            options.model, device=options.device, dtype=options.dtype, quantize=options.quantize,
            local_files_only=options.local_files_only, engine={"max_running": options.max_running},
        )  # fmt: skip

    def __serve_build_asgi_app__(self) -> Any:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("state", {})  # which Ray's proxy leaves out
            await self._app(scope, receive, send)

        return app

    async def check_health(self) -> None:
        """Ray replaces a replica for which this raises."""
        service = self._app.state.service
        while service.state == "loading":
            await asyncio.sleep(0.1)
        if not service.is_healthy:
            raise RuntimeError(f"the engine does not step, or the model was not loaded: {service.error}")


def app(options: ReplicaOptions) -> serve.Application:
    """Replicas, for `serve run` or `serve.run`."""
    most = options.max_running + options.max_queue
    deployment = serve.deployment(
        Replica, name="vl2", num_replicas=options.replicas, max_ongoing_requests=most,
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": options.gpus}, health_check_period_s=5,
        graceful_shutdown_timeout_s=options.drain_sec,
    )  # fmt: skip
    return deployment.bind(options)
