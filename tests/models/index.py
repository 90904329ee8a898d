"""A package index on a port of its own, which can cut answers off."""

import http.server
import io
import threading
import zipfile


def wheel(name: str, members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return data.getvalue()


class Index:
    """Serves wheels by name. `cut`: bytes after which the first answer with a wheel of that name breaks off."""

    def __init__(self, wheels: dict[str, bytes]):
        self.wheels, self.cut = wheels, {}
        self.asked: list[tuple[str, str | None]] = []  # wheels, and the range wanted of each
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                index.answer(self)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/simple"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        path = request.path.strip("/").split("/")
        name = path[1].replace("-", "_") if len(path) > 1 else ""
        if path[0] == "simple" and name in self.wheels:
            file = f"{name}-1.0-py3-none-any.whl"
            self._send(request, 200, f'<a href="/files/{name}/{file}">{file}</a>'.encode(), "text/html")
        elif path[0] == "files" and name in self.wheels:
            self._send_wheel(request, name)
        else:
            self._send(request, 404, b"", "text/plain")

    def _send_wheel(self, request, name: str) -> None:
        data, wanted = self.wheels[name], request.headers.get("Range")
        self.asked.append((name, wanted))
        first = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        stop = self.cut.pop(name, None)
        request.send_response(206 if wanted else 200)
        if wanted:
            request.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        request.send_header("Content-Length", str(len(data) - first))
        request.end_headers()
        request.wfile.write(data[first:stop])
        if stop is not None:
            request.close_connection = True

    @staticmethod
    def _send(request, status: int, body: bytes, kind: str) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
