"""The REST API."""

from fastapi import APIRouter

router = APIRouter(prefix="/api")
