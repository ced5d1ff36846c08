"""The templates of the HTML reports, which share the style sheet `page.css`."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from bioq.errors import harmless
from bioq.metrics import number


def page_template(name: str, filters: Mapping[str, Callable[..., Any]]) -> Template:
    """Return a template of the package; text is escaped, and a missing value is an error."""
    environment = Environment(
        loader=PackageLoader("bioq.reports", "templates"),
        autoescape=True,
        finalize=harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters.update(filters)
    return environment.get_template(name)
