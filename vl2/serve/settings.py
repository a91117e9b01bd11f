"""What a server may be told: names, limits, keys."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    """Options of one server.

    Args:
        model_name: what clients call the model.
        api_keys: one of them must be sent with everything but /health, /ready and the page; empty: no key needed.
        cors_origins: web sites whose scripts may use the server; none by default.
        fetch_urls: whether http(s) URLs of images are downloaded, from public addresses only.
        image_hosts: the only hosts that images are downloaded from; empty: any public one.
        max_queue: requests that may wait besides those that run; more are answered with 429. A request for n choices
            counts n times.
        max_body_bytes: of one request.
        max_bodies_bytes: of all requests that are being received or prepared.
        max_header_bytes: of the headers of a request.
        body_sec: from the end of the headers to the end of the body.
        header_sec: from the start of a connection, or of a request, to the end of its headers.
        write_sec: how long a client may leave what was sent to it lying before it is cut off.
        max_choices: limit on n.
        max_images: of one conversation.
        max_pixels: of one image.
        max_file_bytes: of one image or document.
        max_pages: of one document.
        default_max_tokens: of an answer, if the request does not say.
        decoders: processes that decode images.
        stall_sec: how long a step may take until /health says that the engine hangs.
        drain_sec: how long requests under way may go on after SIGTERM.
        unready_sec: how long new requests are still accepted after SIGTERM, with /ready already saying no.
    """

    model_name: str = "nano"
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    cors_origins: tuple[str, ...] = ()
    fetch_urls: bool = True
    image_hosts: tuple[str, ...] = ()
    max_queue: int = 256
    max_body_bytes: int = 64 * 2**20
    max_bodies_bytes: int = 512 * 2**20
    max_header_bytes: int = 32 * 2**10
    body_sec: float = 120.0
    header_sec: float = 15.0
    write_sec: float = 60.0
    max_choices: int = 16
    max_images: int = 32
    max_pixels: int = 40_000_000
    max_file_bytes: int = 32 * 2**20
    max_pages: int = 100
    default_max_tokens: int = 1024
    decoders: int = 2
    stall_sec: float = 120.0
    drain_sec: float = 60.0
    unready_sec: float = 0.0
