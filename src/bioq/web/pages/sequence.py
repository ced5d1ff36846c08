"""The page: sequence."""

from fastapi import APIRouter

router = APIRouter()
