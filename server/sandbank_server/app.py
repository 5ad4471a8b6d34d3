"""The composition root: here, and only here, the parts are put together."""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import time
from collections.abc import Callable
from typing import Final

import structlog
import uvloop
from sandbank.v1 import execution_pb2, file_pb2, info_pb2, pool_pb2, session_pb2, state_pb2

from sandbank_server import __version__
from sandbank_server.announce import Announcer
from sandbank_server.catalog.sql import SqlCatalog
from sandbank_server.checkpoints.library import CheckpointLibrary
from sandbank_server.checkpoints.places import open_blobs
from sandbank_server.clock import SystemClock
from sandbank_server.collecting import Collecting
from sandbank_server.config import Settings
from sandbank_server.grpc_api.binding import bind
from sandbank_server.grpc_api.chain import Chain
from sandbank_server.grpc_api.execution_service import ExecutionService
from sandbank_server.grpc_api.file_service import FileService
from sandbank_server.grpc_api.info_service import InfoService
from sandbank_server.grpc_api.limits import RequestLimits
from sandbank_server.grpc_api.paging import PageTokens
from sandbank_server.grpc_api.pool_health import PoolHealth, name_of
from sandbank_server.grpc_api.pool_service import PoolService
from sandbank_server.grpc_api.server import ApiServer, TlsFiles
from sandbank_server.grpc_api.session_service import SessionService
from sandbank_server.grpc_api.standard_steps import standard_steps
from sandbank_server.grpc_api.state_service import StateService
from sandbank_server.grpc_api.steps import DrainGate
from sandbank_server.ids import SecureIds
from sandbank_server.instance import Instance
from sandbank_server.observability.metrics import Metrics
from sandbank_server.observability.metrics_server import MetricsServer
from sandbank_server.observability.pool_metrics import PoolMetrics, refresh_gauges
from sandbank_server.observability.session_metrics import SessionMetrics
from sandbank_server.observability.traces import open_traces
from sandbank_server.pool.manager import PoolManager
from sandbank_server.pool.settings import PoolSettings, PoolSizes
from sandbank_server.runners.link import RunnerLink
from sandbank_server.runtimes.base import LaunchedSandbox, SandboxRuntime
from sandbank_server.runtimes.choice import choose_runtime
from sandbank_server.sessions.manager import SessionManager
from sandbank_server.sessions.ports import SessionLimits, SessionServices
from sandbank_server.shutdown import Shutdown
from sandbank_server.templates.environments import Environments, ImageEnvironments, LocalEnvironments
from sandbank_server.templates.options import BuildOptions
from sandbank_server.templates.progress import BuildProgress
from sandbank_server.tenants.resolver import EveryoneIsDefault

FEATURES: Final = (
    "sessions",
    "execute",
    "run",
    "watch",
    "cancel",
    "idempotency",
    "rich-display",
    "magics",
    "files",
    "secret-env",
    "pool",
    "adoption",
    "background-output",
    "variables",
    "set-variables",
    "arrow",
    "exports",
    "completion",
    "inspection",
    "change-reports",
    "input",
    "interact",
    "transactions",
    "rewind",
    "namespace-isolation",
    "workspace-rollback",
    "checkpoints",
    "recovery",
    "forks",
    "hibernation",
    "recompute",
)
"""What works; what is not listed answers NOT_SUPPORTED."""

_CONNECT_SECONDS: Final = 60.0
_DESCRIPTORS: Final = 65_536

_log = structlog.get_logger("sandbank.app")


class App:
    """One control plane, put together. ``start`` it, then ``stop`` it once."""

    def __init__(
        self,
        settings: Settings,
        instance: Instance,
        runtime: SandboxRuntime,
        on_progress: Callable[[BuildProgress], None],
    ) -> None:
        self.settings = settings
        self._instance = instance
        self._runtime = runtime
        self._told_of_walls = False
        clock, ids = SystemClock(), SecureIds()
        self.metrics = Metrics()
        self._metrics_server = MetricsServer(self.metrics, self._refresh_gauges)
        self._traces = open_traces(settings.otlp_endpoint, version=__version__)
        self.catalog = SqlCatalog(settings.effective_catalog_url)
        self._environments = self._make_environments(on_progress)
        self.pools = PoolManager(
            runtime=runtime,
            connect=self._connect,
            image_of=self._environments.image_of,
            templates=settings.templates,
            sizes={name: pool_sizes(settings, name) for name in settings.templates},
            settings=PoolSettings(),
            clock=clock,
            ids=ids,
            rng=random.Random(),
            on_exit=self._sandbox_exited,
            observer=PoolMetrics(self.metrics),
        )
        self._blobs = open_blobs(settings.checkpoints, settings.data_dir)
        self.library = CheckpointLibrary(self._blobs, self.catalog, clock)
        self.sessions = SessionManager(
            SessionServices(
                library=self.library,
                pool=self.pools,
                catalog=self.catalog,
                clock=clock,
                ids=ids,
                observer=SessionMetrics(self.metrics, self._traces.operation_span if self._traces else None),
                log_directory=str(settings.data_dir / "operations"),
                limits=session_limits(settings),
            )
        )
        every = settings.checkpoints.collect_every.total_seconds()
        self._collecting = Collecting(self.library, every, settings.data_dir)
        self._gate = DrainGate()
        self.server = self._make_server(ids, PageTokens(instance.identity.secret))
        for template in settings.templates:
            self.server.health.add(name_of(template))
        self._pool_health = PoolHealth(self.pools.pools, self.server.health, settings.default_template, clock)

    def _make_environments(self, on_progress: Callable[[BuildProgress], None]) -> Environments:
        settings = self.settings
        if self._runtime.name == "local":
            return LocalEnvironments(settings.templates)
        images = settings.images
        options = BuildOptions(
            cache_directory=images.cache_dir,
            installation=self._instance.identity.id,
            registry_image=images.registry_image,
            registry_seconds=images.registry_timeout.total_seconds(),
            debian_mirror=images.debian_mirror,
        )
        return ImageEnvironments(options, on_progress)

    def _make_server(self, ids: SecureIds, tokens: PageTokens) -> ApiServer:
        settings = self.settings
        limits = request_limits(settings)
        chain = Chain(
            standard_steps(
                new_id=ids.request_id,
                metrics=self.metrics,
                traces=self._traces,
                log_level=settings.log_level,
                tenants=EveryoneIsDefault(),
                open_calls=settings.limits.open_calls,
                gate=self._gate,
            ),
            clock=time.monotonic,
        )
        services = {
            "SessionService": SessionService(
                self.sessions,
                self.catalog,
                frozenset(settings.templates),
                settings.default_template,
                limits,
                tokens,
            ),
            "ExecutionService": ExecutionService(self.sessions, ids, limits, tokens),
            "FileService": FileService(self.sessions, tokens),
            "StateService": StateService(self.sessions, self.library, limits, tokens),
            "PoolService": PoolService(self.pools, settings.default_template, tokens, self._memory_of),
            "InfoService": InfoService(
                version=__version__,
                runtime=self._runtime.name,
                limits=settings.limits.as_map(),
                features=FEATURES,
                templates=settings.templates,
                default_template=settings.default_template,
                environment_of=self._environments.environment_of,
            ),
        }
        descriptors = {
            descriptor.name: descriptor
            for module in (session_pb2, execution_pb2, file_pb2, state_pb2, pool_pb2, info_pb2)
            for descriptor in module.DESCRIPTOR.services_by_name.values()
        }
        handler = bind(
            chain,
            {descriptors[name]: servicer for name, servicer in services.items()},
            message_bytes=limits.message_bytes,
        )
        return ApiServer(handler, message_bytes=limits.message_bytes, gate=self._gate)

    async def _connect(self, launched: LaunchedSandbox) -> RunnerLink:
        link = await connect(launched)
        missing = ", ".join(link.hello.missing_walls)
        # Once: it is the kernel that lacks them. The local runtime has said already that it isolates nothing.
        if missing and not self._told_of_walls and self._runtime.name != "local":
            self._told_of_walls = True
            _log.warning("the sandboxes go without some of their walls", missing=missing[:200])
        return link

    async def _memory_of(self, sandbox_id: str) -> int:
        return (await self._runtime.stats(sandbox_id)).memory_bytes

    def _refresh_gauges(self) -> None:
        refresh_gauges(self.metrics, self.pools.pools(), self.sessions.live_states())
        self.metrics.transactions_open.set(self.sessions.open_transactions())

    def _sandbox_exited(self, session_id: str, sandbox_id: str, reason: str) -> None:
        self.sessions.sandbox_exited(session_id, sandbox_id, reason)

    # Life.

    async def start(self) -> str:
        """Take up what an earlier control plane left, then listen; return the address with the real port.

        Images may still be building: the pools wait for them, and callers for the pools.
        """
        settings = self.settings
        await self.catalog.start()
        records = await self.sessions.live_records()
        claims = {record.session_id: record.sandbox_id for record in records if record.sandbox_id}
        leases = await self.pools.start(claims)
        await self.sessions.adopt(records, leases)
        self.sessions.start()
        self._collecting.start()
        if settings.metrics_listen:
            port = await self._metrics_server.start(settings.metrics_listen)
            _log.info("metrics", port=port)
        tls = None
        if settings.tls_certificate is not None and settings.tls_key is not None:
            tls = TlsFiles(settings.tls_certificate, settings.tls_key)
        port = self.server.listen(settings.listen, tls)
        await self.server.start()
        await self._pool_health.start()
        return f"{settings.listen.rpartition(':')[0]}:{port}"

    async def stop(self, shutdown: Shutdown) -> int:
        """Drain and let go; end all sessions and sandboxes too when that was asked for.

        Return how many sessions go on without this process.
        """
        self.sessions.drain()
        await self.server.drain()
        if shutdown.end_sessions:
            await self.sessions.end_all("the server was drained")
        grace = self.settings.drain_timeout.total_seconds()
        await shutdown.grace(grace, self.server.stop(grace))
        await self.server.stop(0)
        if shutdown.end_sessions:
            # Those that were just being made, and all of them where the end was asked for only now.
            await self.sessions.end_all("the server was drained")
        await self.pools.drain(end_sessions=shutdown.end_sessions)
        left = sum(state != session_pb2.Session.STATE_CRASHED for state in self.sessions.live_states())
        await self.close()
        return left

    async def close(self) -> None:
        """Let go of everything; what runs in sandboxes runs on."""
        await self._collecting.close()
        await self._pool_health.close()
        await self.sessions.close()
        await self.pools.close()
        await self._runtime.close()
        await self._metrics_server.close()
        await self.catalog.close()
        await self._blobs.close()
        if self._traces is not None:
            await self._traces.close()


async def connect(launched: LaunchedSandbox) -> RunnerLink:
    """Connect to a sandbox that may still be starting."""
    return await RunnerLink.connect(launched.endpoint, launched.sandbox_id, _CONNECT_SECONDS)


def pool_sizes(settings: Settings, template: str) -> PoolSizes:
    """Return the configured sizes of a pool."""
    return PoolSizes(
        min_ready=settings.min_ready_of(template),
        max_total=settings.max_total_of(template),
        max_starting=settings.max_starting,
        max_waiting=settings.pool_queue,
    )


def session_limits(settings: Settings) -> SessionLimits:
    """Return the bounds of sessions."""
    limits = settings.limits
    return SessionLimits(
        operation_queue=limits.operation_queue,
        journal_bytes=limits.journal_bytes,
        journal_operations=limits.journal_operations,
        interrupt_grace=limits.interrupt_grace.total_seconds(),
        pool_wait=settings.pool_wait.total_seconds(),
        idle_after=limits.idle_after.total_seconds(),
        lifetime_ahead=2 * limits.lifetime_max.total_seconds(),
        readable_after_end=limits.readable_after_end.total_seconds(),
        keep_automatic=settings.checkpoints.keep_automatic,
        checkpoint_core_share=settings.checkpoints.core_share,
        recovery_patience=settings.checkpoints.recovery_wait.total_seconds(),
        workspace_copy_bytes=limits.workspace_copy_bytes,
        preview_chars=limits.preview_chars,
        change_count=limits.change_count,
    )


def request_limits(settings: Settings) -> RequestLimits:
    """Return the bounds of requests."""
    limits = settings.limits
    return RequestLimits(
        code_bytes=limits.code_bytes,
        operation_timeout=limits.operation_timeout,
        operation_timeout_max=limits.operation_timeout_max,
        output_bytes=limits.output_bytes,
        idle_timeout=limits.idle_timeout,
        idle_timeout_max=limits.idle_timeout_max,
        lifetime=limits.lifetime,
        lifetime_max=limits.lifetime_max,
        message_bytes=limits.message_bytes,
        transaction_idle_timeout=limits.transaction_idle_timeout,
        transaction_idle_timeout_max=limits.transaction_idle_timeout_max,
        quiet_time=limits.snapshot_quiet_time,
        quiet_time_max=limits.snapshot_quiet_time_max,
        snapshot_history=limits.snapshot_history,
        checkpoint_policy=session_pb2.CheckpointPolicy.Value(
            f"CHECKPOINT_POLICY_{settings.checkpoints.default_policy.upper()}"
        ),
    )


async def serve(settings: Settings, announcer: Announcer) -> None:
    """Serve until told to end."""
    instance = Instance.acquire(settings.data_dir)
    try:
        runtime = await choose_runtime(settings, instance.identity.id)
        app = App(settings, instance, runtime, announcer.building)
        with Shutdown() as shutdown:
            try:
                address = await app.start()
            except BaseException:
                await app.close()
                raise
            _settle_memory()
            instance.publish(address)
            announcer.listening(address, runtime.name)
            await shutdown.wait()
            announcer.ended(await app.stop(shutdown))
    finally:
        instance.release()


def _settle_memory() -> None:
    """Keep the collector from walking what lives as long as the process, and from running for every few calls.

    What calls leave behind dies by its reference count; cycles are rare, and can wait a little. Nothing is collected
    before: the start leaves next to nothing behind, and to find that out would keep callers waiting.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def _allow_descriptors() -> None:
    """Take what the system allows: each sandbox and each session costs a few, and usual is room for 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run(settings: Settings) -> None:
    """Serve in this process until SIGTERM or Ctrl-C.

    Raises what keeps a control plane from starting: CatalogError, InstanceError, ListenError, RuntimeUnavailable.
    """
    _allow_descriptors()
    with (
        Announcer(settings.ready_file) as announcer,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(serve(settings, announcer))
