"""An AWS for tests: the moto server with its gaps fixed, faults, a log of calls, an audit of roles, and copies of itself.

usage: emulator.py PORT   (0: any; the address is printed as the first line)

    POST   /_emulator/faults   [{"action", "match": {}, "code", "message", "status", "times", "delay_ms", "late_ms", "after", "capacity"}]
    DELETE /_emulator/faults
    GET    /_emulator/units    DynamoDB's request units so far, {"read GetItem sets": units, …}, see metering.py; DELETE forgets them
    GET    /_emulator/calls    {"caller action": count}; DELETE forgets them
    GET    /_emulator/audit    {"role action": "allow" | "deny"}
    POST   /_emulator/enforce  hold assumed roles to their policies from now on
    POST   /_emulator/refusals {"name": false}: switches one of fixes.REFUSALS off, or on again
    POST   /_emulator/clock    {"ahead_ms"}: moves the queues' clock on
    POST   /_emulator/copy     a copy of the whole account in a process of its own; answers its address
    GET    /_emulator/code/... a function's zip
"""

import hashlib
import io
import json
import os
import re
import signal
import sys
import threading
import time
import urllib.parse
import warnings

import fixes
import fleet_rules
import metering
from werkzeug.serving import WSGIRequestHandler, make_server

FAULTS, FAULTS_LOCK = [], threading.Lock()
CALLS, CALLS_LOCK = {}, threading.Lock()
UNITS = {}
# moto is not made for two requests at once: a table that grows while another request reads it is an error 500, now and then
# when half of the work is done. Its services read each other's tables, so that all of them have one lock.
MOTO = threading.RLock()
# Answers to calls with a client token: AWS makes a call with the same token once.
TOKENS = {}
# Functions by name, and whether they may invoke themselves again and again.
RECURSION = {}
STATE = {"base": "", "enforce": False}
IDEMPOTENT = ("RunInstances", "CreateFleet")


def parse(env, body):
    """The service, the action and the parameters of a request."""
    header = env.get("HTTP_AUTHORIZATION", "")
    scope = header.split("Credential=")[1].split(",")[0].split("/") if "Credential=" in header else []
    key, service = (scope[0], scope[3]) if len(scope) > 3 else ("-", "-")
    if target := env.get("HTTP_X_AMZ_TARGET"):
        try:
            parameters = json.loads(body or b"{}")
        except ValueError:
            parameters = {}
        return key, service, target.split(".")[-1], parameters, "json"
    if (env.get("CONTENT_TYPE") or "").startswith("application/x-www-form-urlencoded"):
        parameters = dict(urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        return key, service, parameters.get("Action", "-"), parameters, "query"
    return key, service, f"{env['REQUEST_METHOD']} {env['PATH_INFO']}", {}, "rest"


def caller(key):
    """The role behind a key, or the key."""
    if not key.startswith(("ASIA", "LSIA")):
        return key
    from moto.sts.models import sts_backends

    for account in list(sts_backends.values()):
        for backend in list(account.values()):
            for role in backend.assumed_roles:
                if role.access_key_id == key:
                    return role.role_arn.split("/")[-1]
    return key


def fault_for(action, parameters):
    with FAULTS_LOCK:
        for fault in FAULTS:
            wanted = fault.get("match", {})
            if fault["action"] == action and all(str(parameters.get(name)) == str(value) for name, value in wanted.items()):
                fault["times"] = fault.get("times", 1) - 1
                if fault["times"] <= 0:
                    FAULTS.remove(fault)
                return dict(fault)
    return None


def error(start, protocol, status, code, message, service=""):
    if service == "s3":
        kind, text = "application/xml", f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    elif protocol == "query" or protocol == "rest":
        kind = "text/xml"
        text = (f'<?xml version="1.0"?><Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error>'
                f"</Errors><RequestID>emulator</RequestID></Response>")
    else:
        kind, text = "application/x-amz-json-1.0", json.dumps({"__type": code, "message": message})
    body = text.encode()
    start(f"{status} Error", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body of an answer leave together, up to so many bytes. AWS's SDK for Go closes a request's body as soon as it has
    # seen an answer's head, and if the thread that wrote the request has not come to its end by then, it takes the connection
    # for broken (smithy-go's safeWriteToReadCloser answers EOF as an error): the answer is lost, a creation is made twice and
    # conflicts with itself. AWS is never so fast; an emulator on a busy machine is.
    wbufsize = 1 << 20

    def log_request(self, *arguments, **named):
        pass

    def handle_expect_100(self):
        # The client waits for it. Werkzeug would say it a second time.
        super().handle_expect_100()
        self.wfile.flush()
        del self.headers["Expect"]
        return True

    def finish(self):
        try:
            super().finish()
        except ConnectionError:
            # The client is gone, and what is left for it with it.
            pass


def read_body(env):
    """The whole body; a client that is gone in the middle of it asked for nothing."""
    length = int(env.get("CONTENT_LENGTH") or 0)
    try:
        # Bytes without a length come in chunks, and the server knows their end.
        is_chunked = env.get("HTTP_TRANSFER_ENCODING") == "chunked"
        body = env["wsgi.input"].read() if is_chunked else env["wsgi.input"].read(length)
    except OSError as error:
        raise ConnectionAbortedError(str(error)) from error
    if len(body) < length:
        raise ConnectionAbortedError(f"{len(body)} of {length} bytes came")
    return body


class Emulator:
    """The server in front of moto."""

    def __init__(self, app):
        self.app = app

    def __call__(self, env, start):
        path, body = env["PATH_INFO"], read_body(env)
        if path.startswith("/_emulator/"):
            return self.own(env, start, path.removeprefix("/_emulator/"), body)
        key, service, action, parameters, protocol = parse(env, body)
        with CALLS_LOCK:
            name = f"{caller(key)} {service}:{action}"
            CALLS[name] = CALLS.get(name, 0) + 1
        fault = fault_for(action, parameters)
        if fault and fault.get("delay_ms"):
            time.sleep(fault["delay_ms"] / 1000)
        if fault and fault.get("code") and not fault.get("after"):
            return error(start, protocol, fault.get("status", 400), fault["code"], fault.get("message", "injected"), service)
        if action == "CreateFleet" and fixes.REFUSALS["fleet_configuration"] and (refusal := fleet_rules.fleet_refusal(parameters)):
            return error(start, protocol, 400, *refusal)
        if fault and "capacity" in fault:
            parameters = {name: value for name, value in parameters.items() if not name.endswith("SpotTargetCapacity") and not name.endswith("OnDemandTargetCapacity")}
            parameters["TargetCapacitySpecification.TotalTargetCapacity"] = str(fault["capacity"])
            body = urllib.parse.urlencode(parameters).encode()
        if service == "lambda" and (found := re.fullmatch(r"/2024-08-31/functions/([^/]+)/recursion-config", path)):
            # moto does not know it. The default is Terminate.
            name = found.group(1).split(":")[-1]
            if env["REQUEST_METHOD"] == "PUT":
                RECURSION[name] = json.loads(body)["RecursiveLoop"]
            text = json.dumps({"RecursiveLoop": RECURSION.get(name, "Terminate")}).encode()
            start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
            return [text]
        trace = env.get("HTTP_X_AMZN_TRACE_ID")
        if trace and action in ("SendMessage", "SendMessageBatch"):
            # SQS carries the trace of who sends along to who receives (SQS guide, "Message system attributes").
            carried = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}
            for message in parameters.get("Entries", [parameters]):
                message.setdefault("MessageSystemAttributes", carried)
            body = json.dumps(parameters).encode()
        answer = self.answer(env, body, action, parameters)
        if fault and fault.get("late_ms"):
            answer = fixes.without_young(answer, fault["late_ms"] / 1000)
        if fault and fault.get("code") and fault.get("after"):
            # The effect happened; the answer is lost.
            return error(start, protocol, fault.get("status", 500), fault["code"], fault.get("message", "injected"), service)
        status, headers, content = answer
        if protocol == "json" and status.startswith("403") and b"AccessDenied" in content and b"__type" not in content:
            return error(start, protocol, 400, "AccessDeniedException", f"not authorized to perform {service}:{action}")
        start(status, headers)
        return [content]

    def answer(self, env, body, action, parameters):
        token = parameters.get("ClientToken") if action in IDEMPOTENT else None
        if not token:
            return self.locked(env, body, action, parameters)
        digest = hashlib.sha256(json.dumps(sorted(parameters.items())).encode()).hexdigest()
        with MOTO:
            known = TOKENS.get((action, token))
            if known and known[0] != digest:
                text = (b'<?xml version="1.0"?><Response><Errors><Error><Code>IdempotentParameterMismatch</Code><Message>the token was used '
                        b"with other parameters</Message></Error></Errors><RequestID>emulator</RequestID></Response>")
                return "400 Error", [("Content-Type", "text/xml"), ("Content-Length", str(len(text)))], text
            if known:
                return known[1]
            answer = self.locked(env, body, action, parameters)
            if answer[0].startswith("200"):
                TOKENS[(action, token)] = (digest, answer)
            return answer

    def locked(self, env, body, action, parameters):
        wait = 0
        if action == "ReceiveMessage":
            # A long poll must not hold the lock.
            wait = int(parameters.get("WaitTimeSeconds") or 0)
            if wait:
                body = json.dumps({**parameters, "WaitTimeSeconds": 0}).encode()
        until = time.monotonic() + wait
        while True:
            with MOTO:
                seen = metering.before(action, parameters)
                answer = self.fleet(dict(env), body, parameters) if action == "CreateFleet" else self.call(dict(env), body)
                for line, units in metering.after(action, parameters, seen, answer).items():
                    UNITS[line] = UNITS.get(line, 0) + units
            if not wait or b"Messages" in answer[2] or not answer[0].startswith("200") or time.monotonic() >= until:
                return answer
            time.sleep(0.05)

    def fleet(self, env, body, parameters):
        if not fixes.REFUSALS["full_subnets"]:
            return self.call(env, body)
        left, errors = fleet_rules.without_full_subnets(parameters)
        if not errors:
            return self.call(env, body)
        if not fleet_rules.overrides_of(left):
            return fleet_rules.fleet_answer(errors)
        return self.call(env, urllib.parse.urlencode(left).encode())

    def call(self, env, body):
        env["wsgi.input"], env["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
        sent = []
        chunks = self.app(env, lambda status, headers, info=None: sent.append((status, headers)))
        content = b"".join(chunks)
        fixes.end_what_cannot_start()
        status, headers = sent[-1]
        return status, headers, content

    def own(self, env, start, what, body):
        method = env["REQUEST_METHOD"]
        name = what.split("/")[0]
        if name == "faults" and method == "POST":
            with FAULTS_LOCK:
                FAULTS.extend(json.loads(body))
            found = FAULTS
        elif name == "faults":
            with FAULTS_LOCK:
                FAULTS.clear()
            found = []
        elif name == "calls":
            with CALLS_LOCK:
                found = dict(CALLS)
                if method == "DELETE":
                    CALLS.clear()
        elif name == "units":
            with MOTO:
                found = dict(UNITS)
                if method == "DELETE":
                    UNITS.clear()
        elif name == "audit":
            with fixes.AUDIT_LOCK:
                found = dict(fixes.AUDIT)
        elif name == "enforce":
            STATE["enforce"] = True
            found = True
        elif name == "refusals":
            found = json.loads(body)
            if unknown := set(found) - set(fixes.REFUSALS):
                raise ValueError(f"no such refusal: {unknown}")
            fixes.REFUSALS.update(found)
        elif name == "clock":
            fixes.AHEAD[0] += json.loads(body)["ahead_ms"] / 1000
            found = fixes.AHEAD[0]
        elif name == "copy":
            found = copy(self)
        elif name == "code":
            from moto.awslambda.models import lambda_backends

            _, account, region, function = what.split("/")
            with MOTO:
                content = lambda_backends[account][region].get_function(function).code_bytes
            start("200 OK", [("Content-Type", "application/zip"), ("Content-Length", str(len(content)))])
            return [content]
        else:
            start("404 Not Found", [("Content-Length", "0")])
            return [b""]
        text = json.dumps(found).encode()
        start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
        return [text]


def copy(app):
    """The whole account as it is now, in a child process on a port of its own."""
    reader, writer = os.pipe()
    locks = [MOTO, FAULTS_LOCK, CALLS_LOCK, fixes.AUDIT_LOCK]
    for lock in locks:
        lock.acquire()
    try:
        child = os.fork()
    finally:
        for lock in reversed(locks):
            lock.release()
    if child:
        os.close(writer)
        with os.fdopen(reader) as pipe:
            return pipe.readline().strip()
    # In the child: only this thread goes on. The parent's sockets are not ours.
    for number in [int(entry) for entry in os.listdir("/proc/self/fd")]:
        try:
            if os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                os.close(number)
        except OSError:
            pass
    end_with_parent()
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    STATE["base"] = f"http://127.0.0.1:{server.server_port}"
    FAULTS.clear()
    CALLS.clear()
    os.write(writer, f"{STATE['base']}\n".encode())
    os.close(writer)
    server.serve_forever()
    os._exit(0)


def end_with_parent():
    """A copy, or an emulator whose test died, must not stay behind."""
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    end_with_parent()
    # Only the thread that makes a copy goes on in it, and holds every lock.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork", DeprecationWarning)
    fixes.all_of_it(lambda: STATE["base"], lambda: STATE["enforce"])
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    app = Emulator(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True, request_handler=Handler)
    STATE["base"] = f"http://127.0.0.1:{server.server_port}"
    print(STATE["base"], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
