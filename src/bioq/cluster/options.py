"""Where the work goes, and how it is cut."""

from dataclasses import dataclass

from bioq.errors import UsageError

LOCAL = "local"
SHARD = 4096
"""Windows or alleles a shard: benchmarks/cluster.py measures what smaller and larger ones cost."""


@dataclass(frozen=True)
class ClusterOptions:
    """A Ray cluster and the shards that are sent to it."""

    ray: str | None = None
    """Compute on a Ray cluster, into a folder of Parquet parts: its address (HOST:PORT, or auto on
    one of its machines), or local for one on this machine while the command runs."""
    ray_workers: int | None = None
    """Models that compute at the same time; by default one for every GPU of the cluster or, where
    it has none, for every CPU. Each has one thread."""
    ray_shard: int = SHARD
    """Windows or alleles a shard, which becomes one part."""

    def require_none(self) -> None:
        """Raise UsageError for what has no meaning without `ray`."""
        if self.ray_workers is not None or self.ray_shard != SHARD:
            raise UsageError("--ray-workers and --ray-shard are for a cluster; give --ray too")

    def check(self) -> None:
        """Raise UsageError for numbers that cannot be."""
        for name in ("ray_workers", "ray_shard"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name.replace('_', '-')} {value}: expected at least 1")
