"""The sizes of a DanQ in a published file."""

from collections.abc import Mapping

from bioq.published.layout import require_window


def danq_sizes(sizes: Mapping[str, int], window_bp: int) -> dict[str, object]:
    """Return the sizes of BioQ's DanQ for those that a file gives.

    The width of the pooling is in no file; in each published network it is half of the filters'
    (13 of 26, 15 of 30). Raises BioqError, without the name of the file, for windows of another
    length than the network's.
    """
    pool_width = max(sizes["filter_width"] // 2, 1)
    steps = [(sizes["filter_width"], pool_width)]
    require_window(sizes["inputs"], 2 * sizes["lstm_units"], steps, window_bp)
    return {
        **{name: sizes[name] for name in ("filters", "filter_width", "lstm_units", "dense_units")},
        "pool_width": pool_width,
    }
