"""The page: results."""

from fastapi import APIRouter

router = APIRouter()
