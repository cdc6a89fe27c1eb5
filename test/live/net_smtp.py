#!/usr/bin/python3
"""aiosmtpd's log of every line, against the items: SMTP and LMTP, pipelining, AUTH, STARTTLS, errors."""
import re
import smtplib
from wire import *

need("ip", "ss", "tcpdump", "tshark", "swaks", "openssl", root=True)
need_modules("aiosmtpd")
wire = Wire("smtp")
port = 20000 + os.getpid() % 20000
key, certificate = wire.folder / "key.pem", wire.folder / "cert.pem"
run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=mx")
server = wire.folder / "server.py"
server.write_text(f"""
import asyncio, logging, ssl
from aiosmtpd.smtp import SMTP, AuthResult
from aiosmtpd.lmtp import LMTP
logging.basicConfig(level=logging.DEBUG, format="%(message)s")
class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 fine"
    async def handle_DATA(self, server, session, envelope):
        return "452 4.2.2 full" if "full" in envelope.rcpt_tos[0] else "250 2.0.0 queued"
def who(server, session, envelope, mechanism, data):
    return AuthResult(success=data.password == b"secret" if hasattr(data, "password") else False)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain("{certificate}", "{key}")
async def main():
    loop = asyncio.get_running_loop()
    a = await loop.create_server(lambda: SMTP(Handler(), hostname="mx.test", authenticator=who, auth_require_tls=False, enable_SMTPUTF8=True, loop=loop), "{SERVER}", {port})
    b = await loop.create_server(lambda: LMTP(Handler(), hostname="lmtp.test", loop=loop), "{SERVER}", {port + 1})
    c = await loop.create_server(lambda: SMTP(Handler(), hostname="tls.test", tls_context=context, loop=loop), "{SERVER}", {port + 2})
    await asyncio.gather(a.serve_forever(), b.serve_forever(), c.serve_forever())
asyncio.run(main())
""")
wire.serve("/usr/bin/python3", server, log="smtp.log")
wire.listening(port + 2)
wire.watch()
swaks = lambda *a, codes=(0,): wire.client("swaks", "--helo", "client.test", "--timeout", 4, "--server", SERVER, "--port", port, "--from", "a@test", *a, codes=codes)
swaks("--to", "b@test,c@test", "--header", "Subject: first", "--body", "one\n.two\n")
swaks("--to", "b@test,nobody@test", "--header", "Subject: second", codes=None)
swaks("--to", "nobody@test", codes=None)
swaks("--to", "full@test", codes=None)
swaks("--to", "b@test", "--auth", "PLAIN", "--auth-user", "bob", "--auth-password", "secret")
swaks("--to", "b@test", "--auth", "LOGIN", "--auth-user", "bob", "--auth-password", "secret")
swaks("--to", "b@test", "--auth", "LOGIN", "--auth-user", "bob", "--auth-password", "wrong", codes=None)
swaks("--to", "b@test", "--pipeline")
swaks("--port", port + 1, "--protocol", "LMTP", "--to", "b@test,c@test,nobody@test,d@test", codes=None)
wire.client("swaks", "--helo", "client.test", "--timeout", 4, "--server", SERVER, "--port", port + 2, "--from", "a@test", "--to", "b@test", "--tls", codes=None)
wire.become_client()
with smtplib.SMTP(SERVER, port, timeout=10) as s:
    s.ehlo("client")
    s.docmd("VRFY b")
    s.docmd("EXPN list")
    s.docmd("NONSENSE")
    s.docmd("RSET")
    s.sendmail("a@test", ["b@test"], "Subject: folded\r\n line\r\n\r\n" + ("x" * 70 + "\r\n") * 1000, ["SMTPUTF8"])
    s.noop()
items = wire.watched("smtp", "tlsx")
smtp = [i for i in items if name_of(i) == "smtp"]
text = (wire.folder / "smtp.log").read_text()
# ('10.88.0.2', 5) >> b'EHLO x' for what clients say, << for what is answered; behind STARTTLS nothing can be seen.
lines = re.findall(r"^\('10.88.0.2', (\d+)\) (>>|<<) (.*)$", text, re.M)
hidden, commands = set(), collections.Counter()
for client, way, said in lines:
    if client in hidden:
        continue
    if way == ">>":
        word = re.match(r"b['\"]([A-Za-z]+)", said)
        commands[(word.group(1) if word else "").upper()] += 1
    elif "Ready to start TLS" in said:
        hidden.add(client)
KNOWN = ("EHLO", "LHLO", "MAIL", "RCPT", "DATA", "QUIT", "RSET", "NOOP", "VRFY", "EXPN", "STARTTLS", "NONSENSE")
ours = collections.Counter(i["request"]["method"] for i in smtp if i.get("request"))
equal("every command that the server logged", {k: ours[k] for k in KNOWN}, {k: commands[k] for k in KNOWN})
# The last line of each answer, in the bytes that the server sent in the clear.
said = collections.defaultdict(bytes)
for stream, payload in wire.tshark(f"tcp.srcport in {{{port}..{port + 2}}} && tcp.len > 0", "tcp.stream", "tcp.payload"):
    said[stream[0]] += bytes.fromhex(payload[0])
codes = collections.Counter(code.decode() for sent in said.values() for code in re.findall(
    rb"^(\d\d\d) ", re.match(rb"(.*?Ready to start TLS|.*)", sent, re.S).group(0), re.M))
answers = collections.Counter(str((i.get("response") or i["data"])["code"]) for i in smtp if i.get("response") or i.get("data"))
equal("mails", ours["MESSAGE"], sum(1 for c, w, s in lines if w == "<<" and c not in hidden and s.startswith("b'354")))
equal("answers and refusals that the server sent", dict(sorted(answers.items())), dict(sorted(codes.items())))
mails = [i["request"] for i in smtp if i.get("request") and i["request"]["method"] == "MESSAGE"]
check("subjects", {"first", "second", "folded line"} <= {m.get("subject") for m in mails}, [m.get("subject") for m in mails])
import base64  # noqa: E402
clear = json.dumps([{**i["request"], "credentials": ""} for i in smtp if i.get("request")])
check("no password stands outside its field", all(base64.b64encode(p).decode() not in clear for p in (b"secret", b"wrong", b"bob", b"\0bob\0secret")))
