"""Print each alert that Alertmanager sends to port 9094, one line each. Standard library only."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Post(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        for alert in json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]:
            told = alert["annotations"].get("summary", "")
            print(alert["status"], alert["labels"]["alertname"], alert["labels"].get("hop", ""), told, flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("", 9094), Post)
    print("waiting for alerts", file=sys.stderr, flush=True)
    server.serve_forever()
