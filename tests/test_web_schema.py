"""The API is as its OpenAPI says, whatever is sent: schemathesis makes the requests up."""

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from bioq.web import Service, create_app
from bioq.web.examples import examples

REQUESTS = int(os.environ.get("BIOQ_SCHEMA_REQUESTS", "30"))
"""Requests an operation, more by hand: BIOQ_SCHEMA_REQUESTS=2000."""
OPERATIONS = [
    "GET /api/model",
    "POST /api/predict",
    "POST /api/variants",
    "POST /api/mutagenesis",
    "POST /api/attribution",
    "POST /api/jobs",
    "GET /api/jobs/{id}",
    "DELETE /api/jobs/{id}",
    "GET /api/jobs/{id}/result.{ending}",
]
HOST = {"Host": "127.0.0.1"}
CHECKS = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


def described(service: Service) -> schemathesis.schemas.BaseSchema:
    return schemathesis.openapi.from_asgi("/api/openapi.json", create_app(service), headers=HOST)


def test_every_operation_is_tried(service: Service) -> None:
    labels = [result.ok().label for result in described(service).get_all_operations()]
    assert sorted(labels) == sorted(OPERATIONS)


@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_conform_to_the_schema(service: Service, label: str) -> None:
    if "attribution" in label:  # compiles for seconds, longer than schemathesis waits
        service.motif_names.prepare(wait=True)
    operation = next(
        result.ok()
        for result in described(service).get_all_operations()
        if result.ok().label == label
    )
    good, bad = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
    has_input = bool(operation.body) or bool(list(operation.iter_parameters()))

    @seed(0)
    @settings(
        max_examples=REQUESTS if has_input else 1,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(good, bad) if has_input else good)
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=HOST, checks=CHECKS)

    ask()


def test_answers_to_the_examples_conform_to_the_schema(service: Service) -> None:
    service.motif_names.prepare(wait=True)
    schema = described(service)
    for example in examples(service):
        if example.body:
            case = schema[example.path][example.method].Case(
                body=example.json or example.vcf,
                media_type=example.media_type,
            )
            answer = case.call_and_validate(headers=HOST, checks=CHECKS)
            assert answer.status_code < 300
