"""Where the work goes, and how it is cut."""

from dataclasses import dataclass

from bioq.errors import UsageError
from bioq.options import AtLeastOne, check_types

LOCAL = "local"
SHARD = 4096
"""Windows or alleles a shard: benchmarks/cluster.py measures what smaller and larger ones cost."""


@dataclass(frozen=True)
class ClusterOptions:
    """A Ray cluster and the shards that are sent to it."""

    ray: str | None = None
    """Compute on a Ray cluster, into a folder of Parquet parts: its address (HOST:PORT, or auto on
    one of its machines), or local for one on this machine while the command runs."""
    ray_workers: AtLeastOne | None = None
    """Models that compute at the same time; by default one for every GPU of the cluster or, where
    it has none, for every CPU. Each has one thread."""
    ray_shard: AtLeastOne = SHARD
    """Windows or alleles a shard, which becomes one part."""

    def __post_init__(self) -> None:
        check_types(self)

    def require_none(self) -> None:
        """Raise UsageError for what has no meaning without `ray`."""
        if self.ray_workers is not None or self.ray_shard != SHARD:
            raise UsageError("--ray-workers and --ray-shard are for a cluster; give --ray too")
