"""A package, so that a fixture can live as long as this folder's tests: see `conftest.py`."""
