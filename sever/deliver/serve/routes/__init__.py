"""The addresses of the service, one file a subject; each reads the request, asks the service and writes the answer."""

from sever.deliver.serve.routes import (
    answers,
    coils,
    corrections,
    health,
    inspect,
    models,
    oip,
    page,
    people,
    session,
    statistics,
    stream,
)

_SUBJECTS = (health, inspect, stream, answers, corrections, coils, statistics, models, session, people, oip, page)
ROUTERS = tuple(subject.router for subject in _SUBJECTS)
