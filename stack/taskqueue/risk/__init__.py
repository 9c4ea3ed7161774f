"""Four risk calculations, one function each: JSON-able keyword arguments in, a JSON-able dict out."""

from taskqueue.risk.optimization import portfolio_optimization
from taskqueue.risk.pricing import monte_carlo_pricing
from taskqueue.risk.stress import stress_test
from taskqueue.risk.var import calculate_var

__all__ = ["calculate_var", "monte_carlo_pricing", "portfolio_optimization", "stress_test"]
