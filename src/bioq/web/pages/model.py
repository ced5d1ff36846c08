"""The page: model."""

from fastapi import APIRouter

router = APIRouter()
