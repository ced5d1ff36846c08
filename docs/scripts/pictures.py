"""Pictures of the documentation, small enough for a repository."""

import io

from PIL import Image


def smaller(png: bytes, *, widest_px: int, colours: int, highest_px: int | None = None) -> bytes:
    """Return a PNG with few colours. A wider picture is made smaller in both directions; of a
    higher one the upper part is kept."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    if image.width > widest_px:
        height = round(image.height * widest_px / image.width)
        image = image.resize((widest_px, height), Image.Resampling.LANCZOS)
    if highest_px is not None:
        image = image.crop((0, 0, image.width, min(image.height, highest_px)))
    file = io.BytesIO()
    image.quantize(colours, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()
