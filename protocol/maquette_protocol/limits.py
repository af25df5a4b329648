"""Every bound of the protocol and its reason. Bounds are checked before anything is allocated."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * 1024

# ---- frames ---------------------------------------------------------------------------------------
MAX_CONTROL_BYTES = 64 * KIB
"""Control frame. msgpack can turn few bytes into many objects, so what it is given stays small."""
MAX_PAYLOAD_BYTES = MIB
"""One payload frame."""
MAX_SOCKET_MESSAGE_BYTES = MAX_PAYLOAD_BYTES + 256
"""ZMQ_MAXMSGSIZE. It is per frame and counts the frame as it comes from the network: CURVE makes it 33 bytes longer
(RFC 26, MESSAGE). At just ``MAX_PAYLOAD_BYTES`` every full chunk would end the connection."""
MAX_PAYLOADS = 16
"""Payload frames of one message. ZMQ_MAXMSGSIZE does not bound their number, so this does."""
MAX_FRAMES = 2 + MAX_PAYLOADS
"""Header, control and payloads (without a ROUTER's routing id)."""
MAX_ARRAY_BYTES = MAX_PAYLOADS * MAX_PAYLOAD_BYTES
"""All arrays of one message together, decompressed: no more than could have come uncompressed."""
MAX_ARRAY_NAME = 32
"""Characters of a payload array's name."""
MAX_DIMENSIONS = 4
"""Of an array; the protocol's largest use is 3."""
DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8")
"""Element types that may travel, little-endian. No 64-bit integers (no use), no objects (no pickle)."""

# ---- the control frame ----------------------------------------------------------------------------
MAX_ITEMS = 256
"""Elements of one list or map. msgpack allocates a list's length before it sees an element, at up to
1024 levels, so 256 elements keep the worst case near 2 MB."""
MAX_CONTAINERS = 4096
"""Lists and maps in one control frame, all levels: an empty one is 1 byte there and 60 in memory."""
MAX_TEXT_CHARS = 2048
"""Any one string, except where a tighter bound is named."""

# ---- blobs ----------------------------------------------------------------------------------------
CHUNK_BYTES = MIB
"""Size, and alignment of the offset, of every chunk of a blob but its last (0.6 → 2.6 GB/s over one big message)."""
CHUNK_WINDOW = 8
"""Chunks on the way at once: fills a loopback pipe, and keeps at most 8 MiB ahead of a cancel."""
MAX_BLOB_BYTES = 256 * MIB
"""One blob; the largest legitimate one is an 8192² texture (192 MiB)."""
MAX_RANGES = MAX_BLOB_BYTES // CHUNK_BYTES // 2
"""Missing ranges of a blob whose every other chunk has arrived; stays below ``MAX_ITEMS``."""

# ---- recipes and meshes ---------------------------------------------------------------------------
MAX_RECIPE_BYTES = MAX_CONTROL_BYTES - KIB
"""A recipe as encoded in ``SubmitJob``; the rest is the envelope."""
MAX_SUBJECTS = 16
"""Subjects of a job: each is optimised by itself, so more belong in another job."""
MAX_CONTEXT = 100
"""Context objects of a job; the byte bound on a recipe is near this."""
MAX_CAMERAS = 32
MAX_LAMPS = 16
"""Lamps of a scene; more are better sent as an environment."""
MAX_LAMP_STRENGTH = 1e9
"""W, or W/m²; half a million times the sun."""
MAX_FURTHER_PRIORS = 3
"""Priors besides a recipe's own: each is held in memory and asked in every step."""
MAX_PRIOR_WEIGHT = 1000
"""Magic123's is 40 at most; a weight only compares one prior with another."""
MAX_CONTROLS = 4
"""ControlNets of a recipe, each half a network."""
MAX_FINISH_STEPS = 50
"""Steps of the finish in UV space; it has settled by then."""
MAX_ENVIRONMENT_SIDE = 4096
"""Pixels; only blurred versions of it are looked at."""
MAX_TRIANGLES = 500_000
"""Of one mesh. What is called coarse here has far fewer; refinement's memory grows with it."""
MAX_VERTICES = 3 * MAX_TRIANGLES
"""Every triangle with vertices of its own."""
MIN_TRIANGLE_BUDGET = 100
"""Fewer triangles cannot hold the shape of a piece of furniture."""
MAX_PROMPT_CHARS = 500
"""Text encoders read 77 tokens or fewer. What is cut of a shorter text is told (``PromptReading.chars_read``)."""
MAX_NAME_CHARS = 255
"""Of objects and cameras (Blender allows 63 or 255 bytes)."""
MAX_STEPS = 20_000
"""Of one stage."""
MIN_TEXTURE_SIZE, MAX_TEXTURE_SIZE = 16, 8192
"""Pixels; 8192² × 3 bytes fits a blob."""
MIN_GRID_RESOLUTION, MAX_GRID_RESOLUTION = 8, 256
"""Cells; 256 on a side is about 200 million tetrahedra before culling."""
MAX_VIEWS_PER_STEP = 64
MIN_RENDER_SIZE, MAX_RENDER_SIZE = 16, 2048
"""Pixels."""

# ---- jobs and previews ----------------------------------------------------------------------------
PREVIEW_CREDIT = 2
"""Previews a client allows ahead: one on the way while one is shown."""
MAX_PREVIEW_CREDIT = 8
"""Credit that a backend keeps for one job, whatever a client grants."""
MAX_NOTICES = 8
"""Of one job, the newest; there are not many things that a backend can give up."""
MAX_NOTICE_CHARS = 255
"""One or two sentences."""
MAX_LISTED_JOBS = 64
"""Jobs in one ``JobList``, the newest first, so that it fits a control frame."""
MAX_OPEN_REQUESTS = 256
"""Requests of one client that wait for an answer; more is a client out of control."""

# ---- time, seconds --------------------------------------------------------------------------------
HELLO_TIMEOUT_SECS = 5.0
"""From opening a socket to ``Welcome``."""
PING_INTERVAL_SECS = 1.5
"""Of silence, before a ping is sent."""
LIVENESS_SECS = 6.0
"""Of silence, before a peer counts as lost: 4 missed pings, and below the promised 8 s."""
REQUEST_TIMEOUT_SECS = 30.0
"""From asking to the answer, reconnections included."""
CHUNK_TIMEOUT_SECS = 10.0
"""Without any answer to a transfer, its chunk was lost (a full queue drops silently): it asks again."""
MAX_TRANSFER_ATTEMPTS = 3
"""Times that a transfer stalls without a chunk arriving between, or is complete but corrupt; then it has failed."""
OUTAGE_SECS = 30.0
"""Without a connection for so long, transfers fail too."""
BACKOFF_FIRST_SECS, BACKOFF_MAX_SECS = 0.25, 8.0
"""Wait before a new socket; doubles at each failure."""
