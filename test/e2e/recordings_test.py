#!/usr/bin/env python3
"""The life of recordings: made, paused, extended and stopped while a worker runs, and as they were after kill -9."""
import stat
from parts import *

need("ip", "nginx", "curl", root=True)
bench = Bench("recordings")
bench.network()
bench.nginx()
to = bench.folder / "bucket"


def recordings(command, *arguments, code=0):
    done = subprocess.run([BALEEN, "recordings", command, *map(str, arguments), "--data-dir", bench.folder / "data", "-o", "ndjson"],
                          capture_output=True, text=True, timeout=60, env=bench.environment(), cwd=bench.folder)
    if done.returncode != code or command != "show":
        check(f"recordings {command} {' '.join(map(str, arguments[:1]))}", done.returncode == code, done.stderr or done.returncode)
    return [json.loads(line) for line in done.stdout.splitlines()]


def state(name):
    return recordings("show", name)[0]["state"]


def paths(name):
    items = items_of(bench.baleen("query", "--from", to, "--recording", name, "-o", "ndjson"))
    return sorted(i["request"]["path"] for i in items if i["request"])


# Asked for before there is a worker: it begins with it.
recordings("create", "early", "--kfl", "http and request.path.startsWith(\"/early\")", "--to", to, "--limit-items", 2)
tap = bench.tap("-i", "bl0", "--set", "recordingControl=true")
socket = bench.folder / "data/run/control.sock"
check("the socket is its owner's only", stat.S_IMODE(socket.stat().st_mode) == 0o600 and stat.S_IMODE(socket.parent.stat().st_mode) == 0o700)
recordings("create", "errors", "--kfl", "http and response.status == 500", "--to", to, "--description", "what fails")
recordings("create", "errors", "--kfl", "http", "--to", to, code=1)
recordings("create", "typo", "--kfl", "http adn", "--to", to, code=2)
recordings("create", "brief", "--kfl", "http", "--to", to, "--duration", "1h")
recordings("extend", "brief", "--by", "1h")
check("extended", state("brief")["next_change"] is not None and recordings("show", "brief")[0]["duration"] == "2h")
bench.curl("/early/1", "/bad/1", "/fine/1")
eventually("the items are counted", lambda: state("errors")["items"] == 1 and state("early")["items"] == 1)
recordings("pause", "errors")
check("paused", state("errors")["phase"] == "paused")
bench.curl("/bad/paused", "/early/2", "/early/3")
eventually("the one with a limit is full", lambda: state("early")["phase"] == "full")
recordings("resume", "errors")
bench.curl("/bad/2")
eventually("it goes on", lambda: state("errors")["items"] == 2)
check("search finds by description", [r["name"] for r in recordings("search", "FAILS")] == ["errors"])
recordings("pause", "brief")
shown = recordings("show", "errors")[0]
check("the ledger is shown, and balances", shown["ledger"]["balances"] and shown["ledger"]["items_stored"] >= 4, shown["ledger"])
check("uploads are shown", shown["uploads"]["node"]["limit_bytes"] > 0, shown["uploads"])

# kill -9: all is as it was. What was taken in reaches the journals a fifth of a second later.
time.sleep(1)
tap.kill()
tap.wait()
check("without a worker the state is read", {r["name"]: r["state"]["phase"] for r in recordings("list")} ==
      {"early": "full", "errors": "running", "brief": "paused"})
recordings("stop", "brief")
tap = bench.tap("-i", "bl0", "--set", "metrics.address=127.0.0.1:0")
check("phases after kill -9", {r["name"]: r["state"]["phase"] for r in recordings("list")} ==
      {"early": "full", "errors": "running", "brief": "stopped"})
bench.curl("/bad/3", "/early/4")
eventually("it records again", lambda: state("errors")["items"] >= 3)
time.sleep(0.5)  # numbers of the capture are a tenth of a second old
port = (bench.folder / "tap.log").read_text().split("metrics at port ")[1].split(",")[0]
page = run(*bench.inside, "curl", "-s", "-m", "5", f"http://127.0.0.1:{port}/metrics")
metric = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if not line.startswith("#")}
check("metrics tell the same", metric['baleen_recording_items_total{recording="errors"}'] == state("errors")["items"] and
      metric["baleen_ledger_balanced"] == 1 and metric["baleen_capture_packets_total"] > 0,
      {k: v for k, v in metric.items() if k.startswith("baleen_recording_items") or k in ("baleen_ledger_balanced", "baleen_capture_packets_total")})
recordings("stop", "errors")
bench.curl("/bad/4")
recordings("delete", "early")
check("deleted", [r["name"] for r in recordings("list")] == ["brief", "errors"])
eventually("its blocks are uploaded", lambda: recordings("show", "errors")[0]["uploads"]["waiting_blocks"] == 0 and
           len(list(to.glob("recording=errors/blocks/**/*.json"))) == 3, 30)
bench.finish(tap)
check("the right items are there", paths("errors") == ["/bad/1", "/bad/2", "/bad/3"], paths("errors"))
check("and of the one with a limit", paths("early") == ["/early/1", "/early/2"], paths("early"))
check("the bucket lists them", [r["name"] for r in map(json.loads, bench.baleen("recordings", "list", "--from", to, "-o", "ndjson").splitlines())] ==
      ["brief", "early", "errors"])

# Retention removes what is old, when it is asked to.
bench.baleen("recordings", "expire", "--from", to, "--older-than", "1h")
check("nothing is that old", len(list(to.glob("recording=*/blocks/**/*.json"))) >= 4)
time.sleep(1.1)
bench.baleen("recordings", "expire", "errors", "--from", to, "--older-than", "1s")
check("removed", not list(to.glob("recording=errors/**/*.json")) and not list(to.glob("recording=errors/**/*.p*")))
check("the others stay", paths("early") == ["/early/1", "/early/2"])
