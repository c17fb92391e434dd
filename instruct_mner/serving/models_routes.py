"""The models that are served, as OpenAI's clients list them and look one up."""

from __future__ import annotations

from collections.abc import Sequence

# Not inside of functions: FastAPI looks up annotations here, and this module is itself imported late.
from fastapi import FastAPI
from fastapi.params import Depends

from instruct_mner.serving.entities_route import EntityService
from instruct_mner.serving.http_models import Model, ModelList
from instruct_mner.serving.limits import RefusedError


def add_models(
    app: FastAPI,
    service: EntityService,
    names: Sequence[str],
    *,
    errors: dict[int | str, dict[str, object]],
    locked: Sequence[Depends],
) -> None:
    """Add the routes of the models.

    Args:
        app: Gateway.
        service: Service that knows the entity types of the models.
        names: Names of the models.
        errors: Responses of errors, for the description of the routes.
        locked: Dependencies of routes that need a key.
    """

    def described(name: str) -> Model:
        return Model(id=name, labels=service.labels_of(name))

    @app.get("/v1/models", responses=errors, dependencies=locked, operation_id="list_models")
    async def list_models() -> ModelList:
        """List the models that are served."""
        return ModelList(data=[described(name) for name in names])

    @app.get("/v1/models/{name:path}", responses=errors, dependencies=locked, operation_id="get_model")
    async def get_model(name: str) -> Model:
        """Describe a model that is served."""
        if name not in names:
            raise RefusedError(404, f"there is no model {name!r:.80}; there are {', '.join(names)}")
        return described(name)
