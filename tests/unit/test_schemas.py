"""What the API takes, and which field it names when it does not."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import subprocess
import sys
from typing import Any, get_args

import httpx
import pytest
from celery import states
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from taskqueue import risk, schemas
from taskqueue.schemas import TaskCreated, TaskStatus, TaskSubmission, field_name

SUBMISSION: TypeAdapter[Any] = TypeAdapter(TaskSubmission)
APPLE = {"symbol": "AAPL", "quantity": 100, "price": 150.0}
OPTION = {
    "kind": "european",
    "right": "call",
    "spot": 100.0,
    "strike": 105.0,
    "volatility": 0.2,
    "rate": 0.03,
    "maturity": 1.0,
}
STOCK = {"symbol": "STOCKS", "expected_return": 0.07, "volatility": 0.18}

app = FastAPI()


@app.post("/api/v1/tasks", status_code=201)
def create_task(submission: TaskSubmission) -> dict[str, Any]:
    return {
        "task_type": submission.task_type,
        "priority": submission.priority,
        "data": submission.data.model_dump(),
    }


def post(body: bytes) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/api/v1/tasks", content=body, headers={"Content-Type": "application/json"})

    return asyncio.run(send())


def var_of(*positions: Any, **portfolio: Any) -> dict[str, Any]:
    return {"data": {"portfolio_data": {"positions": list(positions), **portfolio}}}


def var_with(**options: Any) -> dict[str, Any]:
    return {"data": {"portfolio_data": {"positions": [APPLE]}, **options}}


def pricing_of(terms: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"task_type": "monte_carlo_pricing", "data": {"option": {**OPTION, **terms}, **options}}


def optimization_of(*assets: Any, **options: Any) -> dict[str, Any]:
    return {"task_type": "portfolio_optimization", "data": {"assets": list(assets), **options}}


def stress_of(*scenarios: Any) -> dict[str, Any]:
    data = {"portfolio_data": {"positions": [APPLE]}, "scenarios": list(scenarios)}
    return {"task_type": "stress_test", "data": data}


def many(count: int, model: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**model, "symbol": f"S{i}"} for i in range(count)]


def faults(body: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        SUBMISSION.validate_python(body)
    return [field_name(("body", *error["loc"])) for error in caught.value.errors()]


SMALLEST = [
    var_of(APPLE),
    pricing_of({}),
    optimization_of(STOCK),
    {"task_type": "stress_test", "data": {"portfolio_data": {"positions": [APPLE]}}},
]
MODELS: list[type[schemas.Model]] = [
    schemas.CalculateVar,
    schemas.MonteCarloPricing,
    schemas.PortfolioOptimization,
    schemas.StressTest,
]
EXAMPLES = [model.model_json_schema()["examples"][0] for model in MODELS]


def test_the_request_of_the_learning_journey() -> None:
    body = (
        b'{"task_type": "calculate_var", "data": {"portfolio_data": {"positions": '
        b'[{"symbol": "AAPL", "quantity": 100, "price": 150.0}]}}, "priority": "high"}'
    )
    answer = post(body)
    assert answer.status_code == 201
    assert answer.json() == {
        "task_type": "calculate_var",
        "priority": "high",
        "data": {
            "portfolio_data": {
                "positions": [{**APPLE, "volatility": 0.25, "expected_return": 0.0}],
                "correlation": None,
            },
            "confidence_level": 0.95,
            "time_horizon": 10,
            "simulations": 100_000,
            "seed": None,
        },
    }


def test_its_shorter_shape_means_the_same() -> None:
    options = {"confidence_level": 0.99, "time_horizon": 1, "simulations": 1_000, "seed": 3}
    short = SUBMISSION.validate_python({"data": {"positions": [APPLE], "correlation": [[1]], **options}})
    long = SUBMISSION.validate_python({**var_of(APPLE, correlation=[[1]]), "task_type": "calculate_var"})
    assert short.data.portfolio_data == long.data.portfolio_data
    assert short.data.model_dump()["portfolio_data"]["correlation"] == [[1]]
    assert (short.task_type, short.priority) == ("calculate_var", "medium")
    assert short.data.model_dump(exclude={"portfolio_data"}) == options


def test_an_asian_option_averages_over_twelve_dates_unless_told() -> None:
    assert SUBMISSION.validate_python(pricing_of({"kind": "asian"})).data.option.averaging_steps == 12


def test_the_body_itself_is_left_alone() -> None:
    body = {"data": {"positions": [APPLE], "seed": 1}}
    SUBMISSION.validate_python(body)
    assert body == {"data": {"positions": [APPLE], "seed": 1}}


@pytest.mark.parametrize("body", SMALLEST + EXAMPLES)
def test_what_is_accepted_can_be_calculated(body: dict[str, Any]) -> None:
    submission = SUBMISSION.validate_python(body)
    calculation = getattr(risk, submission.task_type)
    arguments = json.loads(json.dumps(submission.data.model_dump(), allow_nan=False))
    assert arguments.keys() == inspect.signature(calculation).parameters.keys()
    json.dumps(calculation(**arguments), allow_nan=False)


@pytest.mark.parametrize("body", SMALLEST)
def test_defaults_are_those_of_the_calculation(body: dict[str, Any]) -> None:
    submission = SUBMISSION.validate_python(body)
    parameters = inspect.signature(getattr(risk, submission.task_type)).parameters
    arguments = submission.data.model_dump()
    for name in parameters.keys() - body["data"].keys():
        assert arguments[name] == parameters[name].default


def test_the_largest_accepted_bodies_can_be_calculated() -> None:
    bodies = [
        {"data": {"positions": many(100, APPLE), "simulations": 1000}},
        {"data": {"positions": many(30, APPLE), "simulations": 1_000_000}},
        pricing_of({"kind": "asian", "averaging_steps": 30}, simulations=1_000_000),
        pricing_of({"volatility": 5, "maturity": 50, "rate": 1, "spot": 1e9}, simulations=100),
        var_with(time_horizon=2520, simulations=100, confidence_level=0.5),
        var_of({**APPLE, "price": 1e9, "quantity": -1e9, "volatility": 5, "expected_return": 5}),
        optimization_of(*many(100, STOCK), correlation=[[1.0] * 100] * 100),
        stress_of(*({"name": f"{i}", "shock": 10} for i in range(100))),
    ]
    for body in bodies:
        submission = SUBMISSION.validate_python(body)
        result = getattr(risk, submission.task_type)(**submission.data.model_dump())
        json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("symbol", ["A", "BRK.B", "^GSPC", "EURUSD=X", "BTC-USD", "0700.HK", "a" * 16])
def test_symbols_as_the_exchanges_write_them(symbol: str) -> None:
    SUBMISSION.validate_python(var_of({**APPLE, "symbol": symbol}))


@pytest.mark.parametrize(
    "correlation", [[[1, 1], [1, 1]], [[1, -1], [-1, 1]], [[1, 0], [0, 1]], [[1.0, 0.3], [0.3, 1.0]]]
)
def test_correlations_up_to_singular_ones(correlation: list[list[float]]) -> None:
    SUBMISSION.validate_python(var_of(APPLE, {**APPLE, "symbol": "GOOGL"}, correlation=correlation))


POSITION = "data.portfolio_data.positions[0]"
THREE = many(3, APPLE)
NOT_PSD = [[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ("text", "body"),
        (None, "body"),
        ({}, "data"),
        ({**var_of(APPLE), "task_type": "calculate_vat"}, "task_type"),
        ({**var_of(APPLE), "task_type": None}, "task_type"),
        ({**var_of(APPLE), "task_type": ["calculate_var"]}, "task_type"),
        ({**var_of(APPLE), "priority": "urgent"}, "priority"),
        ({**var_of(APPLE), "calculate_var": 1}, "calculate_var"),
        ({**var_of(APPLE), "queue": "high"}, "queue"),
        ({"data": {}}, "data.portfolio_data"),
        ({"data": []}, "data"),
        ({"data": {"portfolio_data": {}}}, "data.portfolio_data.positions"),
        (var_of(), "data.portfolio_data.positions"),
        (var_of(*many(101, APPLE)), "data.portfolio_data.positions"),
        (var_of(*many(100_000, APPLE)), "data.portfolio_data.positions"),
        (var_of(*({"symbol": i} for i in range(100_000))), "data.portfolio_data.positions"),
        (var_of(APPLE, APPLE), "data.portfolio_data.positions"),
        (var_of(APPLE, "AAPL"), "data.portfolio_data.positions[1]"),
        (var_of({"symbol": "AAPL", "quantity": 1}), f"{POSITION}.price"),
        (var_of({**APPLE, "price": float("nan")}), f"{POSITION}.price"),
        (var_of({**APPLE, "price": float("inf")}), f"{POSITION}.price"),
        (var_of({**APPLE, "price": -150.0}), f"{POSITION}.price"),
        (var_of({**APPLE, "price": 0}), f"{POSITION}.price"),
        (var_of({**APPLE, "price": 1e10}), f"{POSITION}.price"),
        (var_of({**APPLE, "price": 10**400}), f"{POSITION}.price"),
        (var_of({**APPLE, "price": "150.0"}), f"{POSITION}.price"),
        (var_of({**APPLE, "price": True}), f"{POSITION}.price"),
        (var_of({**APPLE, "price": None}), f"{POSITION}.price"),
        (var_of({**APPLE, "quantity": 0}), f"{POSITION}.quantity"),
        (var_of({**APPLE, "quantity": -0.0}), f"{POSITION}.quantity"),
        (var_of({**APPLE, "quantity": -1e10}), f"{POSITION}.quantity"),
        (var_of({**APPLE, "quantity": float("-inf")}), f"{POSITION}.quantity"),
        (var_of({**APPLE, "quantity": "100"}), f"{POSITION}.quantity"),
        (var_of({**APPLE, "volatility": -0.1}), f"{POSITION}.volatility"),
        (var_of({**APPLE, "volatility": 25}), f"{POSITION}.volatility"),
        (var_of({**APPLE, "expected_return": 7}), f"{POSITION}.expected_return"),
        (var_of({**APPLE, "currency": "USD"}), f"{POSITION}.currency"),
        (var_of({**APPLE, "symbol": ""}), f"{POSITION}.symbol"),
        (var_of({**APPLE, "symbol": "A" * 17}), f"{POSITION}.symbol"),
        (var_of({**APPLE, "symbol": "AAPL\n"}), f"{POSITION}.symbol"),
        (var_of({**APPLE, "symbol": "A B"}), f"{POSITION}.symbol"),
        (var_of({**APPLE, "symbol": "\uff21\uff21\uff30\uff2c"}), f"{POSITION}.symbol"),
        (var_of({**APPLE, "symbol": 5}), f"{POSITION}.symbol"),
        (var_of(APPLE, correlation=[[1, 0], [0, 1]]), "data.portfolio_data.correlation"),
        (var_of(*THREE, correlation=[[1]]), "data.portfolio_data.correlation"),
        (var_of(*THREE, correlation=NOT_PSD), "data.portfolio_data.correlation"),
        (
            var_of(*THREE, correlation=[[1, 0, 0], [0, 1, 0.2], [0, 0.1, 1]]),
            "data.portfolio_data.correlation",
        ),
        (var_of(*THREE, correlation=[[1, 0, 0], [0, 1, 0], [0, 0, 0.9]]), "data.portfolio_data.correlation"),
        (var_of(APPLE, correlation=[[1]] * 101), "data.portfolio_data.correlation"),
        (var_of(APPLE, correlation=[[1] * 101]), "data.portfolio_data.correlation[0]"),
        (var_of(APPLE, correlation=[[1.5]]), "data.portfolio_data.correlation[0][0]"),
        (var_of(APPLE, correlation=[[float("nan")]]), "data.portfolio_data.correlation[0][0]"),
        (var_of(APPLE, correlation=[["1"]]), "data.portfolio_data.correlation[0][0]"),
        (var_with(simulations=10**9), "data.simulations"),
        (var_with(simulations=1_000_001), "data.simulations"),
        (var_with(simulations=99), "data.simulations"),
        (var_with(simulations=1e5), "data.simulations"),
        (var_with(simulations="100000"), "data.simulations"),
        (var_with(simulations=True), "data.simulations"),
        (var_with(simulations=999, confidence_level=0.999), "data.simulations"),
        ({"data": {"positions": many(31, APPLE), "simulations": 1_000_000}}, "data.simulations"),
        (var_with(confidence_level=1), "data.confidence_level"),
        (var_with(confidence_level=95), "data.confidence_level"),
        (var_with(confidence_level=0.05), "data.confidence_level"),
        (var_with(confidence_level="0.95"), "data.confidence_level"),
        (var_with(time_horizon=0), "data.time_horizon"),
        (var_with(time_horizon=2.5), "data.time_horizon"),
        (var_with(time_horizon=10**6), "data.time_horizon"),
        (var_with(seed=-1), "data.seed"),
        (var_with(seed=2**32), "data.seed"),
        (var_with(correlation_id="MY-TRACE-123"), "data.correlation_id"),
        (var_with(positions=[APPLE]), "data.positions"),
        ({"data": {"positions": [{**APPLE, "price": -1}]}}, "data.positions[0].price"),
        ({"data": {"positions": 5}}, "data.positions"),
        ({"data": {"positions": [APPLE], "correlation": [[2]]}}, "data.correlation[0][0]"),
        ({"data": {"positions": [APPLE], "simulations": 10**9}}, "data.simulations"),
        ({"data": {"positions": [APPLE], "extra": 1}}, "data.extra"),
        (pricing_of({"kind": "american"}), "data.option.kind"),
        (pricing_of({"right": "straddle"}), "data.option.right"),
        (pricing_of({"spot": 0}), "data.option.spot"),
        (pricing_of({"strike": float("nan")}), "data.option.strike"),
        (pricing_of({"volatility": "0.2"}), "data.option.volatility"),
        (pricing_of({"rate": 3}), "data.option.rate"),
        (pricing_of({"maturity": 0}), "data.option.maturity"),
        (pricing_of({"averaging_steps": 12}), "data.option.averaging_steps"),
        (pricing_of({"kind": "asian", "averaging_steps": 253}), "data.option.averaging_steps"),
        (pricing_of({"dividend": 0.01}), "data.option.dividend"),
        (pricing_of({"kind": "asian", "averaging_steps": 31}, simulations=1_000_000), "data.simulations"),
        (pricing_of({}, simulations=10**9), "data.simulations"),
        (optimization_of(), "data.assets"),
        (optimization_of(*many(101, STOCK)), "data.assets"),
        (optimization_of(STOCK, STOCK), "data.assets"),
        (optimization_of({"symbol": "A", "volatility": 0.1}), "data.assets[0].expected_return"),
        (optimization_of({**STOCK, "volatility": -1}), "data.assets[0].volatility"),
        (optimization_of(*many(3, STOCK), correlation=NOT_PSD), "data.correlation"),
        (optimization_of(STOCK, risk_aversion=0), "data.risk_aversion"),
        (optimization_of(STOCK, risk_aversion=float("inf")), "data.risk_aversion"),
        (stress_of({"name": "a"}), "data.scenarios[0]"),
        (stress_of({"name": "a", "shocks": {}}), "data.scenarios[0]"),
        (stress_of({"shock": 0.1}), "data.scenarios[0].name"),
        (stress_of({"name": "", "shock": 0.1}), "data.scenarios[0].name"),
        (stress_of({"name": "a", "shock": -1}), "data.scenarios[0].shock"),
        (stress_of({"name": "a", "shock": "-0.1"}), "data.scenarios[0].shock"),
        (stress_of({"name": "a", "shocks": {"AAPL": -1.5}}), "data.scenarios[0].shocks.AAPL"),
        (stress_of({"name": "a", "shocks": {"A B": -0.5}}), "data.scenarios[0].shocks.A B"),
        (stress_of({"name": "a", "shocks": {"APPL": -0.5}}), "data.scenarios"),
        (stress_of(*[{"name": "a", "shock": 0.1}] * 2), "data.scenarios"),
        (stress_of(*[{"name": "a", "shock": 0.1}] * 101), "data.scenarios"),
        ({"task_type": "stress_test", "data": {"portfolio_data": {"positions": [{}]}}}, f"{POSITION}.symbol"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_field_at_fault_is_named(body: Any, field: str) -> None:
    found = faults(body)
    assert found[0] == field
    if not (isinstance(body, dict) and POSITION in field and body.get("task_type") == "stress_test"):
        assert set(found) == {field}


SHOCKS = [
    {},
    {"shock": None},
    {"shocks": None},
    {"shocks": {}},
    {"shock": None, "shocks": {}},
    {"shock": -0.1},
    {"shock": -0.1, "shocks": {}},
    {"shock": -0.1, "shocks": None},
    {"shocks": {"AAPL": -0.1}},
    {"shock": None, "shocks": {"AAPL": -0.1}},
    {"shock": -0.1, "shocks": {"AAPL": -0.1}},
]


@pytest.mark.parametrize("shocks", SHOCKS, ids=json.dumps)
def test_the_schema_of_a_scenario_accepts_what_the_api_accepts(shocks: dict[str, Any]) -> None:
    scenario = {"name": "a", **shocks}
    by_schema = Draft202012Validator(schemas.Scenario.model_json_schema()).is_valid(scenario)

    body = {**var_of(APPLE)["data"], "scenarios": [scenario]}
    by_api = post(json.dumps({"task_type": "stress_test", "data": body}).encode()).status_code == 201

    assert by_schema is by_api


def test_every_fault_is_told_at_once() -> None:
    body = var_of({**APPLE, "price": -1, "quantity": 0}, {**APPLE, "symbol": "A B"})
    assert faults({**body, "priority": 1}) == [
        f"{POSITION}.quantity",
        f"{POSITION}.price",
        "data.portfolio_data.positions[1].symbol",
        "priority",
    ]


def test_but_not_thousands() -> None:
    assert len(faults({**var_of(APPLE), **{f"x{i}": i for i in range(10_000)}})) == schemas.MAX_ERRORS


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            var_of(*THREE, correlation=NOT_PSD),
            "correlation must be positive semi-definite, but has the eigenvalue -0.8",
        ),
        (var_of({**APPLE, "price": float("nan")}), "Input should be a finite number"),
        (
            {**var_of(APPLE), "task_type": "calculate_vat"},
            "Input should be one of calculate_var, monte_carlo_pricing, portfolio_optimization, stress_test, rehearsal",
        ),
        (
            {"data": {"positions": many(31, APPLE), "simulations": 1_000_000}},
            "Input should be at most 967741, as each simulation draws 31 numbers",
        ),
    ],
    ids=["correlation", "price", "task_type", "simulations"],
)
def test_messages_are_sentences_for_the_client(body: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SUBMISSION.validate_python(body)
    assert [error["msg"] for error in caught.value.errors()] == [message]


@pytest.mark.parametrize(
    ("body", "location"),
    [
        (
            b'{"data": {"portfolio_data": {"positions": [{"symbol": "A", "quantity": 1, "price": NaN}]}}}',
            ["body", "data", "portfolio_data", "positions", 0, "price"],
        ),
        (
            b'{"data": {"positions": [{"symbol": "A", "quantity": -Infinity, "price": 1}]}}',
            ["body", "data", "positions", 0, "quantity"],
        ),
        (
            b'{"data": {"positions": [{"symbol": "A", "quantity": 1, "price": 1e999}]}}',
            ["body", "data", "positions", 0, "price"],
        ),
        (
            b'{"data": {"positions": [{"symbol": "\\ud800", "quantity": 1, "price": 1}]}}',
            ["body", "data", "positions", 0, "symbol"],
        ),
        (b'{"data": {"positions": [], "NaN": NaN}}', ["body", "data", "positions"]),
        (b'{"data": NaN}', ["body", "data"]),
        (b'{"task_type": NaN}', ["body", "task_type"]),
        (b'{"task_type": "\\ud800"}', ["body", "task_type"]),
        (b'{"\\ud800": 1}', ["body"]),
        (b"NaN", ["body"]),
        (b"[]", ["body"]),
    ],
)
def test_what_json_cannot_carry_is_refused_not_echoed(body: bytes, location: list[str | int]) -> None:
    answer = post(body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == location
    assert {error["input"] for error in answer.json()["detail"]} == {None}


@pytest.mark.parametrize(
    ("loc", "name"),
    [
        (
            ("body", "data", "portfolio_data", "positions", 0, "price"),
            "data.portfolio_data.positions[0].price",
        ),
        (("body", "data", "correlation", 2, 1), "data.correlation[2][1]"),
        (("body",), "body"),
        (("body", 17), "[17]"),
        (("path", "task_id"), "task_id"),
        (("header", "Idempotency-Key"), "Idempotency-Key"),
        (("body", "data", "scenarios", 0, "shocks", "A B", "[key]"), "data.scenarios[0].shocks.A B"),
    ],
)
def test_field_name(loc: tuple[str | int, ...], name: str) -> None:
    assert field_name(loc) == name


def test_the_api_documentation_shows_every_type_with_an_example() -> None:
    document = app.openapi()
    content = document["paths"]["/api/v1/tasks"]["post"]["requestBody"]["content"]["application/json"]
    names = [choice["$ref"].rpartition("/")[2] for choice in content["schema"]["oneOf"]]
    assert names == ["CalculateVar", "MonteCarloPricing", "PortfolioOptimization", "StressTest", "Rehearsal"]
    components = document["components"]["schemas"]
    assert all(components[name]["examples"] for name in names)
    assert [components[name]["properties"]["task_type"]["const"] for name in names] == list(get_args(schemas.TaskType))
    assert [name for name in names if "task_type" not in components[name]["required"]] == ["CalculateVar"]


def test_the_api_documentation_shows_both_shapes_of_calculate_var() -> None:
    data = app.openapi()["components"]["schemas"]["CalculateVarData"]
    assert data["oneOf"] == [{"required": ["portfolio_data"]}, {"required": ["positions"]}]
    assert {"portfolio_data", "positions", "correlation"} <= data["properties"].keys()


def test_neither_numpy_nor_celery_is_imported_with_the_schemas() -> None:
    program = (
        "import sys; from pydantic import TypeAdapter; from taskqueue.schemas import TaskSubmission\n"
        f"submission = TypeAdapter(TaskSubmission).validate_python({var_of(APPLE)!r})\n"
        "submission.data.model_dump()\n"
        "print(sorted({'numpy', 'celery'} & sys.modules.keys()))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    printed = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
    assert printed == "[]\n"


def test_responses() -> None:
    assert TaskCreated(task_id="64cecbac").model_dump() == {"task_id": "64cecbac", "status": "PENDING"}
    assert TaskStatus(task_id="64cecbac", status="STARTED").model_dump() == {
        "task_id": "64cecbac",
        "status": "STARTED",
        "result": None,
        "error": None,
    }


def test_a_task_has_one_of_celerys_states() -> None:
    assert set(get_args(schemas.State)) == states.ALL_STATES
