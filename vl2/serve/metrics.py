"""What /metrics tells Prometheus: requests and times as they happen, the engine's counters when they are asked for."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vl2.engine.types import EngineStats

_FIRST = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_BETWEEN = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0)
_WHOLE = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metrics:
    """The figures of one server, in a registry of its own."""

    def __init__(self, stats: Callable[[], EngineStats | None], num_queued: Callable[[], int]) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("vl2_requests", "Answered requests", ["path", "status"], registry=registry)
        self.gone = Counter("vl2_disconnects", "Requests whose client left before the end", registry=registry)
        self.open = Gauge(
            "vl2_requests_open", "Requests between headers and the end of the response", registry=registry
        )
        self.first = Histogram(
            "vl2_time_to_first_token_seconds", "From the end of the request's body", buckets=_FIRST, registry=registry
        )
        self.between = Histogram(
            "vl2_inter_token_seconds", "Between tokens of an answer", buckets=_BETWEEN, registry=registry
        )
        self.whole = Histogram(
            "vl2_request_seconds", "From the end of the request's body to the end of the answer", buckets=_WHOLE,
            registry=registry,
        )  # fmt: skip
        self.finished = Counter("vl2_answers", "Finished answers", ["finish_reason"], registry=registry)
        self.prompt_tokens = Counter("vl2_prompt_tokens", "Tokens of prompts, once for each choice", registry=registry)
        self.image_tokens = Counter("vl2_image_tokens", "Tokens of prompts that stand for images", registry=registry)
        registry.register(_EngineCollector(stats, num_queued))

    def render(self) -> bytes:
        return generate_latest(self.registry)


class _EngineCollector(Collector):
    def __init__(self, stats: Callable[[], EngineStats | None], num_queued: Callable[[], int]) -> None:
        self._stats, self._num_queued = stats, num_queued

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("vl2_requests_admitted", "Requests that wait, are prepared or run", self._num_queued())
        stats = self._stats()
        if stats is None:  # still loading
            return
        used = stats.num_blocks - stats.num_free_blocks
        gauges = {
            "vl2_running": ("Sequences that the engine runs", stats.num_running),
            "vl2_waiting": ("Sequences that wait in the engine", stats.num_waiting),
            "vl2_cache_blocks": ("Blocks of the cache", stats.num_blocks),
            "vl2_cache_blocks_used": ("Blocks that sequences hold", used),
        }
        counters = {
            "vl2_steps": ("Steps", stats.num_steps),
            "vl2_computed_tokens": ("Tokens that were computed", stats.num_computed_tokens),
            "vl2_prefix_cache_hit_tokens": ("Tokens of prompts found in the cache", stats.num_cached_tokens),
            "vl2_generated_tokens": ("Generated tokens", stats.num_generated_tokens),
            "vl2_preemptions": ("Sequences that had to give way", stats.num_preemptions),
            "vl2_images_encoded": ("Images that went through the tower", stats.num_encoded_images),
            "vl2_image_cache_hits": ("Images whose embeddings were kept", stats.num_reused_images),
        }
        for name, (what, value) in gauges.items():
            yield GaugeMetricFamily(name, what, value)
        for name, (what, value) in counters.items():
            yield CounterMetricFamily(name, what, value)
