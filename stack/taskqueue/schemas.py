"""What a client may send and what it gets back.

NumPy is imported only when a correlation matrix arrives: an API process starts without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError

TaskType = Literal["calculate_var", "monte_carlo_pricing", "portfolio_optimization", "stress_test", "rehearsal"]
Priority = Literal["high", "medium", "low"]
State = Literal["PENDING", "RECEIVED", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"]

DEFAULT_TASK_TYPE: TaskType = "calculate_var"
MAX_ITEMS = 100
MAX_DRAWS = 30_000_000
MAX_ERRORS = 20


class Model(BaseModel):
    """Takes the fields it names and no others, no text or boolean for a number, no NaN and no infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Symbol = Annotated[str, Field(pattern=r"^[A-Za-z0-9.^=-]{1,16}$")]
Amount = Annotated[float, Field(gt=0, le=1e9)]
Volatility = Annotated[float, Field(ge=0, le=5, description="per year, 0.25 is 25 %")]
ExpectedReturn = Annotated[float, Field(ge=-5, le=5, description="per year, 0.07 is 7 %")]
Shock = Annotated[float, Field(gt=-1, le=10, description="-0.2 is a fall of 20 %")]
Simulations = Annotated[int, Field(ge=100, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32, description="makes the run repeatable, drawn when absent")]
CorrelationRow = Annotated[list[Annotated[float, Field(ge=-1, le=1)]], Field(max_length=MAX_ITEMS)]
Matrix = Annotated[list[CorrelationRow], Field(max_length=MAX_ITEMS, description="independent when absent")]


class Position(Model):
    """A holding, or a short sale when its quantity is negative."""

    symbol: Symbol
    quantity: float = Field(ge=-1e9, le=1e9, json_schema_extra={"not": {"const": 0}})
    price: Amount
    volatility: Volatility = 0.25
    expected_return: ExpectedReturn = 0.0

    @field_validator("quantity")
    @classmethod
    def not_zero(cls, quantity: float) -> float:
        if quantity == 0:
            raise ValueError("Input should not be 0")
        return quantity


class Asset(Model):
    """Something to put a share of the money into."""

    symbol: Symbol
    expected_return: ExpectedReturn
    volatility: Volatility


Item = TypeVar("Item", Position, Asset)


def distinct_symbols(items: list[Item]) -> list[Item]:
    """Refuse a list in which a symbol occurs twice."""
    seen: set[str] = set()
    for item in items:
        if item.symbol in seen:
            raise ValueError(f"Symbol {item.symbol} occurs more than once")
        seen.add(item.symbol)
    return items


OneToMax = Field(min_length=1, max_length=MAX_ITEMS)
Positions = Annotated[list[Position], OneToMax, AfterValidator(distinct_symbols)]
Assets = Annotated[list[Asset], OneToMax, AfterValidator(distinct_symbols)]


def possible_correlation(matrix: list[list[float]] | None, info: ValidationInfo) -> list[list[float]] | None:
    """Refuse a matrix that cannot tell how the model's positions or assets move together."""
    items = info.data.get("positions") or info.data.get("assets")
    if matrix is not None and items:
        from taskqueue.risk.var import correlation_matrix

        correlation_matrix(matrix, len(items))
    return matrix


Correlation = Annotated[Matrix | None, AfterValidator(possible_correlation)]


def check_draws(simulations: int, draws_each: int) -> None:
    """Refuse a simulation that would keep a worker busy for more than a second or two."""
    if simulations * draws_each > MAX_DRAWS:
        most = MAX_DRAWS // draws_each
        raise ValueError(f"Input should be at most {most}, as each simulation draws {draws_each} numbers")


class PortfolioData(Model):
    """Positions and, when they do not move independently, how they move together."""

    positions: Positions
    correlation: Correlation = None


class CalculateVarData(Model):
    """`positions` and `correlation` may also stand here, without `portfolio_data` around them."""

    portfolio_data: PortfolioData
    confidence_level: float = Field(0.95, ge=0.5, le=0.9999)
    time_horizon: int = Field(10, ge=1, le=2520, description="trading days, 252 to the year")
    simulations: Simulations = 100_000
    seed: Seed | None = None

    @model_validator(mode="before")
    @classmethod
    def take_short_form(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not is_short_form(data):
            return data
        options = dict(data)
        portfolio = {name: options.pop(name) for name in ("positions", "correlation") if name in data}
        return options | {"portfolio_data": portfolio}

    @field_validator("simulations")
    @classmethod
    def are_enough_and_not_too_many(cls, simulations: int, info: ValidationInfo) -> int:
        if "portfolio_data" in info.data:
            check_draws(simulations, len(info.data["portfolio_data"].positions))
        confidence_level = info.data.get("confidence_level", 0.5)
        if round(simulations * (1 - confidence_level), 6) < 1:
            raise ValueError(f"Input is too small for a confidence level of {confidence_level}")
        return simulations

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core))
        portfolio = handler.resolve_ref_schema(schema["properties"]["portfolio_data"])
        schema["properties"] |= portfolio["properties"]
        del schema["required"]
        return schema | {"oneOf": [{"required": ["portfolio_data"]}, {"required": ["positions"]}]}


def is_short_form(data: dict[Any, Any]) -> bool:
    """Tell whether the positions stand in the data of calculate_var themselves."""
    return "positions" in data and "portfolio_data" not in data


class Option(Model):
    """The right to be paid what the final price, or the average one, is above or below the strike."""

    kind: Literal["european", "asian"]
    right: Literal["call", "put"]
    spot: Amount
    strike: Amount
    volatility: Volatility
    rate: float = Field(ge=-1, le=1, description="per year, continuously compounded")
    maturity: float = Field(gt=0, le=50, description="years")
    averaging_steps: Annotated[int, Field(ge=1, le=252)] | None = Field(
        None, validate_default=True, description="for an Asian option only: dates averaged over, default 12"
    )

    @field_validator("averaging_steps")
    @classmethod
    def for_asian_only(cls, steps: int | None, info: ValidationInfo) -> int | None:
        if info.data.get("kind") == "asian":
            return 12 if steps is None else steps
        if info.data.get("kind") == "european" and steps is not None:
            raise ValueError("Only an Asian option has averaging steps")
        return steps


class MonteCarloPricingData(Model):
    option: Option
    simulations: Simulations = 100_000
    seed: Seed | None = None

    @field_validator("simulations")
    @classmethod
    def are_not_too_many(cls, simulations: int, info: ValidationInfo) -> int:
        if "option" in info.data:
            check_draws(simulations, info.data["option"].averaging_steps or 1)
        return simulations


class PortfolioOptimizationData(Model):
    assets: Assets
    correlation: Correlation = None
    risk_aversion: float = Field(3.0, gt=0, le=1000)


class Scenario(Model):
    """A move of every price (`shock`), of the prices named (`shocks`) or both; a named one goes first."""

    name: str = Field(min_length=1, max_length=64)
    shock: Shock | None = None
    shocks: Annotated[dict[Symbol, Shock], Field(max_length=MAX_ITEMS)] | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["shock"], "properties": {"shock": {"type": "number"}}},
                {"required": ["shocks"], "properties": {"shocks": {"type": "object", "minProperties": 1}}},
            ]
        }
    )

    @model_validator(mode="after")
    def has_a_shock(self) -> Scenario:
        if self.shock is None and not self.shocks:
            raise ValueError("Give a shock, shocks or both")
        return self


class StressTestData(Model):
    portfolio_data: PortfolioData
    scenarios: Annotated[list[Scenario], Field(max_length=MAX_ITEMS)] | None = Field(
        None, description="in addition to the historical ones"
    )

    @field_validator("scenarios")
    @classmethod
    def fit(cls, scenarios: list[Scenario] | None, info: ValidationInfo) -> list[Scenario] | None:
        names = [scenario.name for scenario in scenarios or []]
        if len(set(names)) < len(names):
            raise ValueError("Every scenario should have a name of its own")
        if "portfolio_data" in info.data:
            held = {position.symbol for position in info.data["portfolio_data"].positions}
            for scenario in scenarios or []:
                if unknown := sorted((scenario.shocks or {}).keys() - held):
                    raise ValueError(f"{scenario.name}: no position in {', '.join(unknown)}")
        return scenarios


class RehearsalData(Model):
    """`transient` failures end after `failures` runs and are retried, up to three times; a `permanent` one is not; with
    `kill`, the task's process ends itself with SIGKILL."""

    seconds: Annotated[float, Field(ge=0, le=60)] = 0.0
    fail: Literal["transient", "permanent", "kill"] | None = None
    failures: Annotated[int, Field(ge=0, le=100, description="how many runs fail")] = 100
    retry_seconds: Annotated[float, Field(ge=0, le=600, description="wait before a retry")] = 60.0


def example(**body: Any) -> ConfigDict:
    """Show a request body in the API's documentation."""
    return ConfigDict(json_schema_extra={"examples": [body]})


APPLE = {"symbol": "AAPL", "quantity": 100, "price": 150.0}


class CalculateVar(Model):
    """How much can this portfolio lose? The task type when a request names none."""

    model_config = example(task_type="calculate_var", data={"portfolio_data": {"positions": [APPLE]}}, priority="high")

    task_type: Literal["calculate_var"] = "calculate_var"
    data: CalculateVarData
    priority: Priority = "medium"


class MonteCarloPricing(Model):
    """What is this option worth?"""

    model_config = example(
        task_type="monte_carlo_pricing",
        data={
            "option": {
                "kind": "european",
                "right": "call",
                "spot": 100.0,
                "strike": 105.0,
                "volatility": 0.2,
                "rate": 0.03,
                "maturity": 1.0,
            }
        },
    )

    task_type: Literal["monte_carlo_pricing"]
    data: MonteCarloPricingData
    priority: Priority = "medium"


class PortfolioOptimization(Model):
    """Which mix of these assets is the best?"""

    model_config = example(
        task_type="portfolio_optimization",
        data={
            "assets": [
                {"symbol": "STOCKS", "expected_return": 0.07, "volatility": 0.18},
                {"symbol": "BONDS", "expected_return": 0.03, "volatility": 0.06},
            ],
            "correlation": [[1.0, -0.2], [-0.2, 1.0]],
        },
    )

    task_type: Literal["portfolio_optimization"]
    data: PortfolioOptimizationData
    priority: Priority = "medium"


class StressTest(Model):
    """What would a crash do to this portfolio?"""

    model_config = example(
        task_type="stress_test",
        data={
            "portfolio_data": {"positions": [APPLE]},
            "scenarios": [{"name": "Apple alone", "shocks": {"AAPL": -0.3}}],
        },
        priority="low",
    )

    task_type: Literal["stress_test"]
    data: StressTestData
    priority: Priority = "medium"


class Rehearsal(Model):
    """What happens to a task that takes this long, or fails like this? It calculates nothing."""

    model_config = example(task_type="rehearsal", data={"seconds": 0.5}, priority="low")

    task_type: Literal["rehearsal"]
    data: RehearsalData
    priority: Priority = "medium"


def task_type_of(body: Any) -> str | None:
    """Tell which model a body is meant for; None when its task_type is not even text."""
    task_type = body.get("task_type", DEFAULT_TASK_TYPE) if isinstance(body, dict) else DEFAULT_TASK_TYPE
    return task_type if isinstance(task_type, str) else None


def locate_errors(body: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Report each error at the field the client wrote, without the value it wrote.

    Pydantic puts the chosen member of the union into the location, and the portfolio_data that the short form
    of calculate_var leaves out; the value may be NaN or half a surrogate pair, which no JSON answer can
    carry.
    """
    try:
        return validate(body)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        lines = [
            InitErrorDetails(type=reason(line), loc=location(body, line), input=None) for line in details[:MAX_ERRORS]
        ]
        raise ValidationError.from_exception_data(error.title, lines) from None


def reason(line: ErrorDetails) -> PydanticCustomError:
    """Return the error's type and message, the message as the validator worded it."""
    return PydanticCustomError(line["type"], line["msg"].removeprefix("Value error, "))


def location(body: Any, line: ErrorDetails) -> tuple[int | str, ...]:
    """Return the path of the faulty field in the body that was sent."""
    if not line["loc"]:
        return ("task_type",)
    path = line["loc"][1:]
    if path[:2] == ("data", "portfolio_data") and len(path) > 2 and is_short_form(body["data"]):
        return ("data", *path[2:])
    return path


def field_name(loc: Sequence[int | str]) -> str:
    """Write an error's location as a path: `data.portfolio_data.positions[0].price`.

    The first element, where FastAPI says which part of the request it is ("body", "path", "query"), is left
    out, unless it stands alone; so is the "[key]" with which Pydantic ends the location of a faulty key.
    """
    path = ""
    for part in loc[1:] or loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{part}"
    return path.removeprefix(".")


TaskSubmission = Annotated[
    Annotated[CalculateVar, Tag("calculate_var")]
    | Annotated[MonteCarloPricing, Tag("monte_carlo_pricing")]
    | Annotated[PortfolioOptimization, Tag("portfolio_optimization")]
    | Annotated[StressTest, Tag("stress_test")]
    | Annotated[Rehearsal, Tag("rehearsal")],
    Discriminator(
        task_type_of,
        custom_error_type="unknown_task_type",
        custom_error_message=f"Input should be one of {', '.join(get_args(TaskType))}",
    ),
    WrapValidator(locate_errors),
]


class TaskCreated(Model):
    """The receipt for a task: ask for its result under this ID."""

    task_id: str
    status: Literal["PENDING"] = "PENDING"


class TaskRepeated(TaskCreated):
    """The receipt again: an earlier request with the same Idempotency-Key has created the task."""

    from_cache: Literal[True] = True


class TaskStatus(Model):
    """A task's state, with its result after SUCCESS and its error after FAILURE."""

    task_id: str
    status: State
    result: dict[str, Any] | None = None
    error: str | None = None
