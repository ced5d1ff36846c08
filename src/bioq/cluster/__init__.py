"""Predictions and variants on a Ray cluster: shards are sent, Parquet parts are returned.

The driver reads the input, so the machines need no shared disk; workers have the model and return
complete parts. The content of a part depends on its shard alone, not on the number of workers or
on workers that died. A manifest is written last.
"""

from bioq.cluster.options import ClusterOptions
from bioq.cluster.predict import predict_on_ray
from bioq.cluster.variants import write_variants_on_ray

__all__ = ["ClusterOptions", "predict_on_ray", "write_variants_on_ray"]
