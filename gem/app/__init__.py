"""``gem app``: a local page that explains recordings; Starlette and uvicorn, extra ``app``.

``server`` listens; ``security`` lets in; ``routes`` answers; ``uploads`` and ``scratch`` keep files for as long as they
are read; ``workers`` run what takes time (``tasks``) in processes of their own; ``opened`` holds what is open, in
memory; ``folder`` measures a folder in the background.
"""
