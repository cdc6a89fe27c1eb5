"""A proxy before an object store that does what goes wrong on the way. HTTP/1.1, one request after the other on each
connection. A rule says which requests it is for, how many, and what is done with them:

  {"match": "PUT .*partNumber=2", "times": 1, "skip": 0, ...}     a regular expression on "METHOD /path?query"
  {"status": 503, "retry_after": 1}          that answer instead of the store's; the store sees nothing
  {"cut_request": 100000}                    the connection ends after so many bytes of the body
  {"cut_answer": True}                       the store did it, and its answer is lost
  {"flip": 5000}                             that byte of the body arrives as another
  {"answer": [pattern, replacement]}         in the head and body of the answer (bytes)
  {"rate": 200000}                           bytes of bodies per second
"""
import re
import socket
import threading
import time

PIECE = 64 * 1024
REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout", 429: "Too Many Requests",
           500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable"}


class FaultProxy:
    def __init__(self, target, error_body=b""):
        host, _, port = target.removeprefix("http://").partition(":")
        self.target, self.error_body = (host, int(port)), error_body
        self.lock, self.rules, self.hits, self.requests = threading.Lock(), [], {}, []
        self.away = set()  # names whose requests find nobody
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.endpoint = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def add(self, name, **rule):
        with self.lock:
            self.rules.append({"name": name, "times": 1 << 60, "skip": 0, **rule, "match": re.compile(rule.get("match", ""))})
            self.hits.setdefault(name, 0)

    def forgive(self, name):
        """What was ordered under that name ends."""
        with self.lock:
            self.rules = [r for r in self.rules if r["name"] != name]
            self.away.discard(name)

    def send_away(self, name):
        with self.lock:
            self.away.add(name)
            self.hits.setdefault(name, 0)

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def take(self, line):
        with self.lock:
            self.requests.append(line)
            if any(name in line for name in self.away):
                name = next(name for name in self.away if name in line)
                self.hits[name] += 1
                return {"away": True}
            for rule in self.rules:
                if rule["times"] > 0 and rule["match"].search(line):
                    if rule["skip"] > 0:
                        rule["skip"] -= 1
                        continue
                    rule["times"] -= 1
                    self.hits[rule["name"]] += 1
                    return rule
        return {}

    def serve(self, client):
        server = None
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            incoming = client.makefile("rb")
            while head := read_head(incoming):
                line = head.split(b" HTTP/", 1)[0].decode("latin-1")
                rule = self.take(line)
                length = int(header(head, b"content-length") or 0)
                if "away" in rule:
                    return
                if "status" in rule:
                    read_exactly(incoming, length)
                    client.sendall(self.refusal(rule, head))
                    continue
                if server is None:
                    server = socket.create_connection(self.target)
                    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    outgoing = server.makefile("rb")
                server.sendall(head)
                if not self.pass_body(incoming, server, length, rule):
                    return
                answer, last = self.read_answer(outgoing, line.startswith("HEAD "))
                if "cut_answer" in rule or answer is None:
                    return
                if "answer" in rule:
                    answer = re.sub(rule["answer"][0], rule["answer"][1], answer)
                client.sendall(answer)
                if last:
                    return
        except OSError:
            pass
        finally:
            for end in (client, server):
                if end is not None:
                    try:
                        end.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
                    end.close()

    def pass_body(self, incoming, server, length, rule):
        sent = 0
        stop = min(length, rule.get("cut_request", length + 1))
        while sent < length:
            piece = bytearray(incoming.read1(min(PIECE, length - sent)))
            if not piece:
                return False
            flip = rule.get("flip", -1) - sent
            if 0 <= flip < len(piece):
                piece[flip] ^= 0x20
            if "rate" in rule:
                time.sleep(len(piece) / rule["rate"])
            server.sendall(piece[:max(0, stop - sent)] if "cut_request" in rule else piece)
            sent += len(piece)
            if "cut_request" in rule and sent >= stop:
                return False
        return "cut_request" not in rule or length > 0 and stop > length

    def refusal(self, rule, head):
        body = b"" if head.startswith(b"HEAD ") else self.error_body.replace(b"STATUS", str(rule["status"]).encode())
        extra = f"Retry-After: {rule['retry_after']}\r\n" if "retry_after" in rule else ""
        return (f"HTTP/1.1 {rule['status']} {REASONS.get(rule['status'], 'Error')}\r\n{extra}"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body

    def read_answer(self, outgoing, is_head):
        """The whole answer, with a length, and whether the connection ends with it."""
        while True:
            head = read_head(outgoing)
            if not head:
                return None, True
            status = int(head.split(b" ", 2)[1])
            if status >= 200:
                break
        body = b""
        if not is_head and status not in (204, 304):
            if (header(head, b"transfer-encoding") or b"").lower() == b"chunked":
                while size := int(outgoing.readline().split(b";")[0], 16):
                    body += read_exactly(outgoing, size)
                    outgoing.readline()
                while outgoing.readline() not in (b"\r\n", b""):
                    pass
                head = re.sub(rb"(?i)\r\ntransfer-encoding:[^\r]*", b"", head)
                head = head[:-2] + b"Content-Length: %d\r\n\r\n" % len(body)
            elif header(head, b"content-length") is not None:
                body = read_exactly(outgoing, int(header(head, b"content-length")))
            else:
                body = outgoing.read()
        # Addresses of sessions lead back through here.
        there = b"http://%s:%d/" % (self.target[0].encode(), self.target[1])
        head = head.replace(there, self.endpoint.encode() + b"/")
        return head + body, (header(head, b"connection") or b"").lower() == b"close"


def read_head(stream):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return b""
        head += line
    return head


def read_exactly(stream, length):
    data = stream.read(length)
    if len(data) != length:
        raise OSError("cut")
    return data


def header(head, name):
    found = re.search(rb"(?i)\r\n" + name + rb":[ \t]*([^\r]*)", head)
    return found and found[1]
