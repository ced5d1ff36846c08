"""Probabilities, differences, logits, E-values and ranks as text, for reports and pages."""

_SMALL = 5e-4
"""With four decimals a smaller number would have one digit or none."""


def probability_text(value: float) -> str:
    """Return a number from 0 on with four decimals, or with two digits if it is small."""
    return f"{value:.1e}" if 0 < value < _SMALL else f"{value:.4f}"


def signed_text(value: float) -> str:
    """Return a difference with its sign, and a minus that is as wide as a plus; – for NaN."""
    sign = "−" if value < 0 else "+"
    return "–" if value != value else f"{sign}{probability_text(abs(value))}"


def logit_text(value: float) -> str:
    """Return a change of a logit with its sign and two decimals; – for NaN."""
    if value != value:
        return "–"
    rounded = round(value, 2) + 0.0  # no minus before 0.00
    return f"{rounded:+.2f}".replace("-", "−")


def share_text(value: float) -> str:
    """Return a share, such as an E-value, with two digits; – for NaN."""
    return "–" if value != value else f"{value:.2g}"


def phred_text(value: float) -> str:
    """Return a phred with one decimal; – for NaN."""
    return "–" if value != value else f"{value:.1f}"
