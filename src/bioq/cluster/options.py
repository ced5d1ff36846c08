"""The cluster that computes, and the size of the shards."""

from dataclasses import dataclass

from bioq.errors import UsageError
from bioq.options import AtLeastOne, check_types

LOCAL = "local"
SHARD = 4096
"""Windows or alleles per shard: benchmarks/cluster.py measures the cost of other sizes."""


@dataclass(frozen=True)
class ClusterOptions:
    """A Ray cluster, and how the input is divided for it."""

    ray: str | None = None
    """Compute on a Ray cluster, into a folder of Parquet parts: the address of the cluster
    (HOST:PORT, or auto on one of its machines), or local to start one on this machine."""
    ray_workers: AtLeastOne | None = None
    """Models that compute at the same time, with one thread each; by default one per GPU of the
    cluster or, without GPUs, one per CPU."""
    ray_shard: AtLeastOne = SHARD
    """Windows or alleles per shard; each shard becomes one part."""

    def __post_init__(self) -> None:
        check_types(self)

    def require_none(self) -> None:
        """Raise UsageError for options that need `ray`."""
        if self.ray_workers is not None or self.ray_shard != SHARD:
            raise UsageError("--ray-workers and --ray-shard are for a cluster; give --ray too")
