"""The API server: this stage's routes in the application that all stages share."""

from api.routes import router
from taskqueue.web import create_app

app = create_app(router)
