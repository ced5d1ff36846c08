"""Predictions and variants on a Ray cluster: shards out, Parquet parts back, a manifest at the end.

The driver reads the input, so that no disk has to be shared; workers hold the model and give back
finished parts. What a part holds depends on its shard alone: not on the number of workers, nor on
which of them died.
"""

from bioq.cluster.options import ClusterOptions
from bioq.cluster.predict import predict_on_ray
from bioq.cluster.variants import write_variants_on_ray

__all__ = ["ClusterOptions", "predict_on_ray", "write_variants_on_ray"]
