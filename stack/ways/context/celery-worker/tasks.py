"""Layer 5: worker. The four tasks: each takes the message's kwargs, logs, and calculates."""

import carry
from taskqueue import risk
from taskqueue.logs import task_log
from taskqueue.worker import app

carry.show_in_logs()


@app.task(bind=True, name="tasks.calculate_var")
def calculate_var(
    self, portfolio_data, confidence_level=0.95, time_horizon=10, simulations=100_000, seed=None,
    **_
):
    with task_log("VaR", task_id=self.request.id):
        return risk.calculate_var(portfolio_data, confidence_level, time_horizon, simulations, seed)


@app.task(bind=True, name="tasks.monte_carlo_pricing")
def monte_carlo_pricing(
    self, option, simulations=100_000, seed=None,
    **_
):
    with task_log("Pricing", task_id=self.request.id):
        return risk.monte_carlo_pricing(option, simulations, seed)


@app.task(bind=True, name="tasks.portfolio_optimization")
def portfolio_optimization(
    self, assets, correlation=None, risk_aversion=3.0,
    **_
):
    with task_log("Optimization", task_id=self.request.id):
        return risk.portfolio_optimization(assets, correlation, risk_aversion)


@app.task(bind=True, name="tasks.stress_test")
def stress_test(
    self, portfolio_data, scenarios=None,
    **_
):
    with task_log("Stress test", task_id=self.request.id):
        return risk.stress_test(portfolio_data, scenarios)
