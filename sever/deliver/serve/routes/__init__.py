"""The addresses of the service, one file a subject; each reads the request, asks the service and writes the answer."""

from sever.deliver.serve.routes import answers, health, inspect, models, oip, people, session

ROUTERS = (health.router, inspect.router, answers.router, models.router, session.router, people.router, oip.router)
