#!/usr/bin/python3
"""vsftpd's protocol log, line by line, against the items; data connections named by their addresses; AUTH TLS."""
import re
import ftplib
from wire import *

need("ip", "ss", "tcpdump", "tshark", "vsftpd", "curl", "openssl", root=True)
wire = Wire("ftp")
port = 20000 + os.getpid() % 20000
home = wire.folder / "srv"
(home / "in").mkdir(parents=True)
os.chmod(home / "in", 0o777)
os.chmod(home, 0o555)
(home / "file.txt").write_text("line\n" * 2000)
key, certificate = wire.folder / "key.pem", wire.folder / "cert.pem"
run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=ftp")
empty = wire.folder / "empty"
empty.mkdir()
log = wire.folder / "vsftpd.log"
(wire.folder / "vsftpd.conf").write_text(f"""listen=YES
background=NO
listen_address={SERVER}
listen_port={port}
anonymous_enable=YES
local_enable=NO
no_anon_password=NO
anon_root={home}
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_umask=022
xferlog_enable=YES
xferlog_std_format=NO
log_ftp_protocol=YES
vsftpd_log_file={log}
secure_chroot_dir={empty}
port_enable=YES
ssl_enable=YES
allow_anon_ssl=YES
force_local_logins_ssl=NO
force_local_data_ssl=NO
rsa_cert_file={certificate}
rsa_private_key_file={key}
seccomp_sandbox=NO
""")
wire.serve("vsftpd", wire.folder / "vsftpd.conf")
wire.listening(port)
wire.watch()
url = f"ftp://{SERVER}:{port}"
curl = lambda *a, codes=(0,): wire.client("curl", "-sS", "-m", "20", "-o", "/dev/null", *a, codes=codes)
curl(f"{url}/")
curl(f"{url}/file.txt")
curl("--disable-epsv", f"{url}/file.txt")
curl("-P", CLIENT, f"{url}/file.txt")
curl("-P", CLIENT, "--disable-eprt", f"{url}/file.txt")
curl("-r", "100-199", f"{url}/file.txt", codes=None)
curl(f"{url}/none.txt", codes=(78,))
curl("-T", home / "file.txt", f"{url}/in/up.txt")
curl("-Q", "MKD in/dir", "-Q", "-RNFR in/up.txt", "-Q", "-RNTO in/down.txt", "-Q", "-DELE in/down.txt", f"{url}/", codes=None)
curl("-u", "bob:verysecret", f"{url}/", codes=(67,))
curl("-k", "--ssl-reqd", f"{url}/file.txt")
wire.become_client()
with ftplib.FTP() as f:
    f.connect(SERVER, port, 10)
    f.login("anonymous", "me@home")
    for command in ("SYST", "FEAT", "HELP", "STAT", "NOOP", "NONSENSE", "SIZE file.txt", "MDTM file.txt", "TYPE A", "PWD", "CWD in", "CDUP"):
        try:
            f.voidcmd(command)
        except ftplib.error_perm:
            pass
    f.nlst()
    f.quit()
items = wire.watched("ftp", "tlsx")
ftp = [i for i in items if name_of(i) == "ftp"]
text = log.read_text()
commands, replies = collections.Counter(), collections.Counter()
hidden = {}
for pid, kind, said in re.findall(r'\[pid (\d+)\](?: \[\w+\])? FTP (command|response): Client "[^"]*", "(.*)"$', text, re.M):
    (commands if kind == "command" else replies)[said.split()[0].split("-")[0].upper()] += 1
ours = collections.Counter(i["request"]["method"] for i in ftp if i.get("request"))
# Behind AUTH TLS the server still logs what nobody can see: USER ... QUIT of that one session.
seen = collections.Counter(v.upper() for v in wire.tshark_values("ftp.request", "ftp.request.command", ["-d", f"tcp.port=={port},ftp"]).elements() if v.isalpha())
equal("every command, as tshark counts them", dict(ours), dict(seen))
missing = {k: v for k, v in (commands - ours).items()}
equal("every command that the server logged, but for one session behind TLS", {k: v for k, v in (ours - commands).items()}, {})
check("which has one of each", all(v == 1 for v in missing.values()) and "RETR" in missing, missing)
codes = collections.Counter(str((i.get("response") or i["data"])["code"]) for i in ftp if i.get("response") or i.get("data"))
for i in ftp:
    if (i.get("response") or {}).get("preliminary"):
        codes[str(i["response"]["preliminary"])] += 1
check("every answer is one that the server logged", not (codes - replies), dict(codes - replies))
check("errors among them", codes["550"] >= 1 and codes["530"] >= 1 and codes["500"] >= 1, dict(codes))
data = {i["response"]["dataAddress"] for i in ftp if (i.get("response") or {}).get("dataAddress")}
asked = {i["request"]["dataAddress"] for i in ftp if (i.get("request") or {}).get("dataAddress")}
opened = {":".join((a[0], p[0])) for a, p in wire.tshark("tcp.flags.syn==1 && tcp.flags.ack==0", "ip.dst", "tcp.dstport")}
unannounced = opened - {f"{SERVER}:{port}"} - data - asked  # that of the session behind TLS
check("every data connection was announced", len(unannounced) == 1 and len(data) >= 5 and len(asked) == 2 and asked < opened, (unannounced, asked))
check("passwords stand in their field alone", "verysecret" not in json.dumps([{**i["request"], "password": ""} for i in ftp if i.get("request")]))
# Transfers, and the connections that were opened for them.
transfers = [i for i in ftp if i.get("response") and i["request"]["method"] in ("RETR", "STOR", "LIST", "NLST", "MLSD") and i["response"]["code"] == 226]
named = [i["response"].get("dataConnection") or {} for i in transfers]
check("every transfer names its data connection", len(named) >= 7 and {n.get("address") for n in named} <= opened, named)
equal("which the server opened where it was asked to", sorted(n["address"] for n in named if n["mode"] == "active"), sorted(asked))
