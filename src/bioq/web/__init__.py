"""`bioq serve`: local web pages and a REST API for a trained model."""

from bioq.web.app import create_app
from bioq.web.limits import Limits
from bioq.web.server import serve
from bioq.web.service import Service, open_service

__all__ = ["Limits", "Service", "create_app", "open_service", "serve"]
