"""The API server: this stage's routes in the application that all stages share."""

import carry
from api.routes import router
from fastapi import APIRouter, Depends
from taskqueue.web import create_app

traced = APIRouter(dependencies=[Depends(carry.remember)])
traced.include_router(router)

app = create_app(traced, tracing=True)
carry.start()
