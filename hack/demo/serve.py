"""Serves a folder over HTTP, with ranges: what a build pipeline's artifact server does."""

import sys

from aiohttp import web

application = web.Application()
application.router.add_static("/", sys.argv[1])
web.run_app(application, port=8000, access_log=None)
