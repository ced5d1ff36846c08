"""The pages: server-rendered HTML; they work without scripts, which only add comfort."""

from fastapi import APIRouter

from bioq.web.pages import model, results, sequence, variant
from bioq.web.pages.render import error_page

__all__ = ["error_page", "router"]

router = APIRouter(include_in_schema=False)
for part in (sequence, variant, model, results):
    router.include_router(part.router)
