"""Small real servers on this machine that speak the providers' protocols and fail as they are told to.

They answer with the request's own last message, so that a test sees whose reply is whose. What a language
model says is tested against a server with a model behind it: tests/strategies/steps/test_frontier.py.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Endpoint:
    """A running server: its address, what it was sent, and how it fails the next requests (status, body).

    With `moved_to` it redirects everything there.
    """

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    failing: list[tuple[int, Any]] = field(default_factory=list)
    always: tuple[int, Any] | None = None
    moved_to: str = ""
    slow_seconds: float = 0.0
    thinking_tokens: int = 0
    most_at_once: int = 0
    now: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def openai(self) -> str:
        return f"{self.url}/v1"


@contextmanager
def serving() -> Iterator[Endpoint]:
    """Yield a server on a free port that stops with the block."""
    endpoint = Endpoint()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(endpoint))
    endpoint.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with endpoint.lock:
                endpoint.requests.append(body)
                endpoint.headers.append({name.lower(): value for name, value in self.headers.items()})
                fault = endpoint.failing.pop(0) if endpoint.failing else endpoint.always
                endpoint.now += 1
                endpoint.most_at_once = max(endpoint.most_at_once, endpoint.now)
            try:
                time.sleep(endpoint.slow_seconds)
                status, answer = fault or (200, _answer(self.path, body, endpoint.thinking_tokens))
                status = 307 if endpoint.moved_to else status
                self._send(status, answer)
            except OSError:
                pass  # the client has gone, as it may
            finally:
                with endpoint.lock:
                    endpoint.now -= 1

        def _send(self, status: int, answer: Any) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if endpoint.moved_to:
                self.send_header("Location", endpoint.moved_to)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _answer(path: str, body: dict[str, Any], thinking: int) -> dict[str, Any]:
    said = f"You said: {body['messages'][-1]['content']}"
    told = [str(body.get("system", "")), *(str(message["content"]) for message in body["messages"])]
    asked = sum(len(text.split()) for text in told)
    paid = thinking + len(said.split())
    if path == "/v1/messages":
        usage = {"input_tokens": asked, "output_tokens": paid}
        content = [{"type": "text", "text": said}]
        made = {"id": "m", "type": "message", "role": "assistant", "model": body["model"]}
        return {**made, "content": content, "stop_reason": "end_turn", "usage": usage}
    message = {"role": "assistant", "content": said}
    usage = {"prompt_tokens": asked, "completion_tokens": paid, "total_tokens": asked + paid}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    made = {"id": "c", "object": "chat.completion", "created": 0, "model": body["model"]}
    return {**made, "choices": choices, "usage": usage}


def answer_of(said: str) -> dict[str, Any]:
    """Return a whole answer of the OpenAI protocol."""
    message = {"role": "assistant", "content": said}
    made = {"id": "c", "object": "chat.completion", "created": 0, "model": "a-model"}
    return {**made, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
