"""HTTP application of the endpoint: mounts everything that answers a request, in the order that works."""

from aiohttp import web

from manager.api.app import ROOT, build_api
from manager.http.authentication import Api
from manager.http.health import Health, add_routes
from manager.http.metrics import Metrics
from manager.http.middleware import new_application
from manager.http.oauth import add_oauth
from manager.http.proxies import Proxies
from manager.infinity_api.app import add_management_api
from manager.infinity_api.contract.openapi import management_document
from manager.usecases.ports import FleetView
from manager.usecases.usecases import UseCases
from manager.web.site import add_pages


def build_application(
    use_cases: UseCases, fleet: FleetView, health: Health, metrics: Metrics, *, proxies: Proxies
) -> web.Application:
    """Return the application with all routes."""
    app, api = new_application(proxies), Api(use_cases=use_cases, fleet=fleet)
    add_routes(app, health, metrics)
    app.add_subapp(ROOT, build_api(api, others=management_document))
    add_management_api(app, api)
    add_oauth(app, api)
    # the last page matches every other address
    add_pages(app, use_cases, fleet)
    return app
