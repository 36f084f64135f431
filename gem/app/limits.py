"""The limits of ``gem app``, in one place."""

from __future__ import annotations

MAX_UPLOAD_BYTES = 128 << 20  # of one drop: a day of Holter in one lead has 50 MB
MAX_JSON_BYTES = 256 << 10  # of a request that is no upload
MAX_FILES = 8  # of one drop
MAX_NAME_BYTES = 200
MAX_TEXT = 20_000  # characters of a text; checked in less than 0.1 s
MAX_QUESTION = 1_000
MAX_TEXTS = 6  # compared at once
MAX_OPEN = 24  # recordings in memory; the oldest is closed
MAX_OPEN_SAMPLES = 60_000_000  # of all of them: 240 MB
MAX_TURNS = 200  # of a conversation

HEADERS_S = 5.0  # a connection without a whole request is closed after one or two of these
IDLE_BODY_S = 5.0  # without a byte of a request's body
BODY_S = 120.0  # for a whole body
SEND_S = 60.0  # for a client to take a piece of an answer
MAX_CONNECTIONS = 1_000
MAX_REQUESTS = 200  # at once
MAX_UPLOADS = 3  # received at once
MAX_WAITING = 4  # requests that wait for a worker; more are refused

READ_S = 120.0  # to read and measure what was dropped
ROW_S = 120.0  # to read and measure one recording of a folder
MODEL_S = 600.0  # to load a model and let it write
DRAW_S = 60.0  # to write a page or PDF
WORKER_MEMORY_BYTES = 8 << 30  # address space of a process that reads files
WORKER_FILE_BYTES = 512 << 20  # of one file that it writes
