"""The page: variant."""

from fastapi import APIRouter

router = APIRouter()
