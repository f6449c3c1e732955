"""The protocol: log in, run a statement, ask for its end, cancel it, renew the session, log out."""

import asyncio
import gzip
import json
import re
import uuid

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import faults
import users
from errors import Refused
from session import Session

# How long a statement is waited for before the answer is that it still runs. Snowflake's own is 45 seconds.
PATIENCE = 5

_sessions = {}
_masters = {}
# Each statement by the id of its request: one that is sent again is not run again.
_requests = {}


async def _body(request):
    raw = await request.body()
    return json.loads(gzip.decompress(raw) if request.headers.get("content-encoding") == "gzip" else raw or b"{}")


def _refuse(error, **data):
    data = {"errorCode": error.code, "sqlState": error.state, **data}
    return JSONResponse({"data": data, "code": error.code, "message": error.message, "success": False})


def _accept(data):
    return JSONResponse({"data": data, "code": None, "message": None, "success": True})


def _token(request):
    found = re.match(r'Snowflake Token="(.*)"$', request.headers.get("authorization", ""))
    return found[1] if found else None


def _session(request):
    session = _sessions.get(_token(request))
    if session is None:
        raise Refused("390104", "08001", "User must login again to access the service.")
    if session.expired:
        raise Refused("390112", "08001", "Session token expired.")
    return session


async def login(request):
    data = (await _body(request))["data"]
    try:
        user = users.check(data)
        database = request.query_params.get("databaseName")
        session = await run_in_threadpool(Session, user, database, data.get("SESSION_PARAMETERS") or {})
    except Refused as error:
        return _refuse(error, authnMethod="USERNAME_PASSWORD")
    _sessions[session.token] = _masters[session.master] = session
    return _accept({
        "token": session.token, "masterToken": session.master, "validityInSeconds": 3600,
        "masterValidityInSeconds": 14400, "displayUserName": user, "serverVersion": "9.0.0", "sessionId": id(session),
        "parameters": [], "sessionInfo": {"databaseName": database, "roleName": request.query_params.get("roleName")},
    })


async def renew(request):
    session = _masters.get(_token(request))
    if session is None or (await _body(request)).get("oldSessionToken") != session.token:
        return _refuse(Refused("390114", "08001", "Authentication token has expired. The user must authenticate again."))
    del _sessions[session.token]
    session.token, session.expired = uuid.uuid4().hex, False
    _sessions[session.token] = session
    return _accept({"sessionToken": session.token, "masterToken": session.master, "validityInSecondsST": 3600})


async def end(request):
    session = _sessions.pop(_token(request), None)
    if session is not None:
        _masters.pop(session.master, None)
        await run_in_threadpool(session.close)
    return _accept(None)


async def query(request):
    try:
        session = _session(request)
    except Refused as error:
        return _refuse(error)
    body, number = await _body(request), request.query_params["requestId"]
    known = _requests.get(number)
    if known is not None:
        known["repeated"] += 1
        return await _answer(known)
    sql = body["sqlText"]
    if sql.startswith("STAND_IN "):
        return _accept(faults.command(sql, _requests, _sessions))
    fault = faults.next_for(session.name(), sql)
    if fault and fault["kind"] == "STATUS":
        return Response("not now", status_code=fault["status"])
    if fault and fault["kind"] == "EXPIRE":
        session.expired = True
        return _refuse(Refused("390112", "08001", "Session token expired."))
    if fault and fault["kind"] == "END":
        del _sessions[session.token], _masters[session.master]
        await run_in_threadpool(session.close)
        return _refuse(Refused(fault["code"], "08001", "The session is no more. The user must authenticate again."))
    if fault and fault["kind"] == "LOSE" and fault["moment"] == "BEFORE":
        return Response("lost", status_code=502)
    entry = {"id": str(uuid.uuid4()), "sql": sql, "session": session, "repeated": 0, "waits": 0, "status": "RUNNING",
             "tag": (body.get("parameters") or {}).get("QUERY_TAG"), "name": session.name(), "rows": 0}
    _requests[number] = entry
    refusal = None
    if fault and fault["kind"] == "FAIL":
        refusal = Refused(fault["code"], fault["state"], fault["message"])
    entry["skips"] = bool(fault and fault["kind"] == "SKIP")
    if fault and fault["kind"] == "SLOW":
        entry["waits"] = fault["answers"]
    entry["task"] = asyncio.create_task(_run(entry, refusal))
    if fault and fault["kind"] == "LOSE":
        await entry["task"]
        return Response("lost", status_code=502)
    return await _answer(entry)


async def _run(entry, refusal):
    try:
        if refusal:
            raise refusal
        result = await run_in_threadpool(entry["session"].run, entry["sql"])
    except Refused as error:
        entry["status"] = "FAILED"
        refused = error
        return lambda: _refuse(refused, queryId=entry["id"])
    except Exception as error:  # noqa: BLE001: whatever it is, the client is told
        entry["status"] = "FAILED"
        internal = Refused("000603", "XX000", f"SQL execution internal error: {error!r}")
        return lambda: _refuse(internal, queryId=entry["id"])
    entry["status"] = "SUCCESS"
    if isinstance(result, dict):
        return lambda: _accept(result | {"queryId": entry["id"]})
    names, rows = result
    if entry["skips"]:
        rows[0][1:4] = ["LOAD_SKIPPED", "0", "0"]
    entry["rows"] = len(rows)
    return lambda: _accept({
        "queryId": entry["id"], "queryResultFormat": "json", "rowtype": [{"name": name, "type": "text"} for name in names],
        "rowset": rows, "total": len(rows), "returned": len(rows),
    })


async def _answer(entry):
    """The answer, or where to ask for it."""
    if entry["waits"] == 0:
        done, _ = await asyncio.wait({entry["task"]}, timeout=PATIENCE)
        if done:
            return entry["task"].result()()
    else:
        entry["waits"] -= 1
    data = {"queryId": entry["id"], "getResultUrl": f"/queries/{entry['id']}/result"}
    return JSONResponse({"data": data, "code": "333334", "message": "Query execution in progress.", "success": True})


async def result(request):
    try:
        _session(request)
    except Refused as error:
        return _refuse(error)
    number = request.path_params["number"]
    entry = next((entry for entry in _requests.values() if entry["id"] == number), None)
    return await _answer(entry) if entry else Response(status_code=404)


async def abort(request):
    entry = _requests.get((await _body(request)).get("requestId"))
    if entry is not None:
        entry["status"] = "CANCELLED"
        await run_in_threadpool(entry["session"].cancel)
    return _accept(None)


app = Starlette(routes=[
    Route("/session/v1/login-request", login, methods=["POST"]),
    Route("/session/token-request", renew, methods=["POST"]),
    Route("/session", end, methods=["POST"]),
    Route("/queries/v1/query-request", query, methods=["POST"]),
    Route("/queries/v1/abort-request", abort, methods=["POST"]),
    Route("/queries/{number}/result", result, methods=["GET"]),
])
