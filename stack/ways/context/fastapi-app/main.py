"""The API server: this stage's routes in the application that all stages share."""

import carry
from api.routes import router
from taskqueue.web import create_app

app = create_app(router)
app.app = carry.Remember(app.app)  # inside of the middleware that reads X-Request-ID
carry.show_in_logs()
