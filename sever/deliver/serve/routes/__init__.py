"""The addresses of the service, one file a subject; each reads the request, asks the service and writes the answer."""

from sever.deliver.serve.routes import (
    answers,
    coils,
    comparison,
    corrections,
    health,
    inspect,
    models,
    oip,
    page,
    people,
    rules,
    session,
    statistics,
    stream,
)

_SUBJECTS = (
    health,
    inspect,
    stream,
    answers,
    corrections,
    coils,
    statistics,
    comparison,
    models,
    rules,
    session,
    people,
    oip,
    page,
)
ROUTERS = tuple(subject.router for subject in _SUBJECTS)
