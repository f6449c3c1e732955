"""A stand-in for Snowflake on loopback: the protocol of its drivers, in front of fakesnow.

It runs in fakesnow's own process, since it has to see and change each statement between the protocol and the engine, and
to share the engine's transaction where it runs a COPY itself. Usage: python stand-in-snowflake <port>
"""

import sys

import uvicorn

from server import app

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
