"""Serving: vLLM in a process of its own, and a gateway in front of it that strangers may talk to.

A start, ``serve.py``: what is to be served is checked, vLLM is started on a private port (both in ``vllm_runtime``) and
examined (``self_check.py``), and only then the gateway is put together (``application.py``, ``gateway.py``) and opened
(``running.py``). Where vLLM ends, so does the server, or vLLM is started again (``restarts.py``).

A request: its connection has deadlines (``connections.py``), it gets an id and a line in the log (``request_log.py``),
HEAD and OPTIONS are answered (``methods.py``), its key, its rate and its size are checked (``middleware.py``,
``keys.py``, ``places.py``), its body is read (``json_body.py``) into a model (``openai_bodies.py``, ``constraints.py``,
``entities_models.py``), pictures and constraints are tried in processes that may die (``worker_pool.py``,
``worker.py``, ``pictures.py``), and vLLM gets a body that is written from what was checked (``openai_routes.py``,
``entities_route.py``).
"""
