"""The ASGI application: routes, and the life of the service around them.

    create_app(load, Settings(...)) --any ASGI server--> CORS (if asked for) -> Guard -> routes

The model loads while the server already answers /health and /ready.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from vl2.api import Model
from vl2.serve.chat import chat, json_response
from vl2.serve.errors import ApiError, answer_error
from vl2.serve.files import draw, ground, ocr
from vl2.serve.guard import Guard
from vl2.serve.openapi import schema
from vl2.serve.protocol import Health, ModelCard, ModelList
from vl2.serve.service import Service
from vl2.serve.settings import Settings
from vl2.serve.web import page_routes


def create_app(load: Callable[[], Model], settings: Settings | None = None) -> Starlette:
    """The application of one server; `app.state.service` is its `Service`.

    Args:
        load: makes the model, in a thread, when the server starts.
    """
    service = Service(load, settings or Settings())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        starting = asyncio.create_task(service.start())
        yield
        service.drain()
        starting.cancel()
        await service.close()

    middleware = [Middleware(Guard, service=service)]
    if service.settings.cors_origins:
        cors = Middleware(
            CORSMiddleware, allow_origins=list(service.settings.cors_origins), allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
        )  # fmt: skip
        middleware.insert(0, cors)
    app = Starlette(
        routes=_routes(), middleware=middleware, lifespan=lifespan,
        exception_handlers={ApiError: answer_error, 404: answer_error, 405: answer_error, ValueError: answer_error},
    )  # fmt: skip
    app.state.service = service
    return app


def _routes() -> list[BaseRoute]:
    return [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/ocr", ocr, methods=["POST"]),
        Route("/v1/ground", ground, methods=["POST"]),
        Route("/v1/draw", draw, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
        Route("/health", health),
        Route("/ready", ready),
        Route("/metrics", metrics),
        Route("/openapi.json", openapi),
        *page_routes(),
    ]


async def health(request: Request) -> Response:
    """200 if the process works, 503 if its engine hangs or is lost."""
    service: Service = request.app.state.service
    status = "ok" if service.is_healthy else "the engine does not step"
    return JSONResponse(Health(status=status).model_dump(), 200 if service.is_healthy else 503)


async def ready(request: Request) -> Response:
    """200 if requests for work are taken."""
    service: Service = request.app.state.service
    return JSONResponse(Health(status=service.state).model_dump(), 200 if service.is_open else 503)


async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    service: Service = request.app.state.service
    return Response(service.metrics.render(), media_type="text/plain; version=0.0.4")


async def openapi(_: Request) -> Response:
    """The OpenAPI schema."""
    return JSONResponse(schema())


async def models(request: Request) -> Response:
    """The one model of this server."""
    return json_response(ModelList(data=[_card(request)]))


async def model(request: Request) -> Response:
    """The same by its name."""
    request.app.state.service.check_model(request.path_params["name"])
    return json_response(_card(request))


def _card(request: Request) -> ModelCard:
    service: Service = request.app.state.service
    context = service.model.config.language_config.max_position_embeddings
    return ModelCard(id=service.settings.model_name, created=service.created, max_model_len=context)


logging.getLogger("vl2.serve").addHandler(logging.NullHandler())
