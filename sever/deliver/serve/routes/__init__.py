"""The addresses of the service, one file a subject; each reads the request, asks the service and writes the answer."""

from sever.deliver.serve.routes import (
    answers,
    coils,
    corrections,
    health,
    inspect,
    models,
    oip,
    people,
    session,
    stream,
)

_SUBJECTS = (health, inspect, stream, answers, corrections, coils, models, session, people, oip)
ROUTERS = tuple(subject.router for subject in _SUBJECTS)
