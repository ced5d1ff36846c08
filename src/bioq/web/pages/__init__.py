"""The pages: HTML rendered on the server; they work without scripts, which only add comfort."""

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

from bioq.web.pages import api_page as api
from bioq.web.pages import explain, model, results, sequence, variant
from bioq.web.pages.render import error_page

__all__ = ["error_page", "router"]

router = APIRouter(include_in_schema=False)
for part in (sequence, variant, explain, model, results, api):
    router.include_router(part.router)


@router.get("/static/page.css")
def page_style() -> Response:
    """Answer with the style sheet, which the pages share with the reports."""
    return Response(
        files("bioq.reports").joinpath("templates/page.css").read_bytes(), media_type="text/css"
    )
