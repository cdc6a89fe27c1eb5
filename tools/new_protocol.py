#!/usr/bin/env python3
"""Writes the folder of a new protocol: a dissector that works, its test, fuzz target, benchmark, seed and page.

    tools/new_protocol.py NAME CLASS PORT [--root DIR]      e.g. tools/new_protocol.py gearman Gearman 4730

What it writes is a protocol whose messages are the four letters of MAGIC, a number, a length and that many bytes, with
the answers marked by a set high bit of the number. Everything in it is meant to be changed; the tests say what broke.
It appends one line to src/dissect/protocols.def. Nothing that exists is written over.
"""
import argparse
import pathlib
import re
import struct
import sys

HEADER = '''#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::@name@ {

/// @Class@: requests and responses matched by their numbers.
class @Class@ final : public Framed<@Class@, KeyedMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
};

}  // namespace baleen::dissect::@name@
'''

SOURCE = '''#include "dissect/@name@/@name@.h"

#include "dissect/build.h"

namespace baleen::dissect::@name@ {

using item::Field;
using item::Item;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {@port@};
constexpr Field kFields[] = {
    {"request.id", "", kInt, "Number that the response repeats."},
    {"request.body", "@name@_body", kString, "What is asked."},
    {"response.body", "", kString, "What is answered."},
    {"response.status", "", kString, "OK."},
};

constexpr std::string_view kMagic = "@MAGI@";
constexpr size_t kHead = 12;  // magic, number, length
constexpr uint32_t kAnswer = 0x80000000, kMost = 64 << 20;

}  // namespace

const item::Protocol @Class@::kProtocol = {
    .name = "@name@",
    .version = "1",
    .abbreviation = "@NAME@",
    .long_name = "@Class@ Protocol",
    .macro = "@name@",
    .reference = "https://example.org/@name@",
    .background = "#546e7a",
    .foreground = "#ffffff",
    .priority = 20,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.id",
    .summary_path = "request.body",
    .status_path = "response.status",
};

Probe @Class@::probe(const Input& in) { return begins(in.direction, in.bytes); }

Probe @Class@::begins(Direction direction, Bytes b) {
  const size_t n = std::min(b.size(), kMagic.size());
  if (as_text(b.first(n)) != kMagic.substr(0, n)) return Probe::kNo;
  if (b.size() < kHead) return Probe::kUnsure;
  const bool answer = (load_be32(&b[4]) & kAnswer) != 0;
  return answer == (direction == Direction::kToClient) && load_be32(&b[8]) <= kMost ? Probe::kYes : Probe::kNo;
}

Measure @Class@::measure(Direction, Bytes b) const {
  const size_t n = std::min(b.size(), kMagic.size());
  if (as_text(b.first(n)) != kMagic.substr(0, n)) return Measure::bad();
  if (b.size() < kHead) return Measure::need(kHead);
  const uint32_t size = load_be32(&b[8]);
  return size > kMost ? Measure::bad() : Measure::frame(kHead + uint64_t{size});
}

Step @Class@::message(const Frame& frame, Output& out) {
  if (frame.bytes.size() < kHead) return Step::lost();
  const uint32_t number = load_be32(&frame.bytes[4]);
  const bool asks = (number & kAnswer) == 0;
  const uint32_t id = number & ~kAnswer;
  Item* item = asks ? out.begin(kProtocol) : waiting_.take(id);
  if (item == nullptr) item = begin_orphan(kProtocol, out);
  MapOf map(item->arena);
  map.add("id", static_cast<int64_t>(id));
  map.add("body", text_or_bytes(item->arena.copy(as_text(frame.bytes.subspan(kHead))), frame.cut));
  if (!asks) map.add("status", "OK");
  if (frame.cut) {
    map.add("truncated", true);
    out.count(Counter::kBodyCapped);
  }
  set(asks ? item->request : item->response, map.build(), frame);
  if (asks) {
    waiting_.push(id, item, out);
  } else {
    out.finish(item);
  }
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::@name@
'''

TEST = '''#include "dissect/@name@/@name@.h"

#include "dissect/test_table.h"

namespace baleen::dissect::@name@ {
namespace {

using enum Direction;

std::string message(uint32_t number, const std::string& body) { return "@MAGI@" + be(number, 4) + sized(4, body); }

std::vector<Row> rows() {
  return {
      {"pair", {c(message(1, "ask")), s(message(0x80000001, "tell"))}, {R"~(0 req|"body":"ask"|"body":"tell","status":"OK")~"}},
      {"any order",
       {c(message(1, "a") + message(2, "b")), s(message(0x80000002, "B") + message(0x80000001, "A"))},
       {R"~("body":"b"|"body":"B")~", R"~("body":"a"|"body":"A")~"}},
      {"half", {c(message(1, "ask"))}, {"2 req"}},
      {"orphan", {s(message(0x80000001, "tell"))}, {"3 res"}},
  };
}

TEST(@Class@, Table) { check_table<@Class@>(rows()); }

TEST(@Class@, Probe) {
  expect_probe<@Class@>(kToServer, message(1, "ask"), Probe::kYes);
  expect_probe<@Class@>(kToClient, message(1, "ask"), Probe::kNo);
  expect_probe<@Class@>(kToServer, "GET / HTTP/1.1", Probe::kNo);
}

}  // namespace
}  // namespace baleen::dissect::@name@
'''

FUZZ = '''#include "dissect/@name@/@name@.h"
#include "dissect/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::@name@::@Class@>(data, size);
}
'''

BENCH = '''#include "dissect/@name@/@name@.h"

#include "dissect/bench.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::@name@ {
namespace {

void exchange(benchmark::State& state) {
  bench_exchanges<@Class@>(
      state, {c("@MAGI@" + be(1, 4) + sized(4, "ask")), s("@MAGI@" + be(0x80000001, 4) + sized(4, "tell"))}, 1);
}
BENCHMARK(exchange);

}  // namespace
}  // namespace baleen::dissect::@name@
'''

README = '''# @Class@

What is read: requests and responses, matched by number. What is not read: say so here.

- `@name@.h`: the card, the fields, the dissector.

It must not know the engine or other protocols.

Specification: https://example.org/@name@
'''


def seed(magic):
    ask = magic.encode() + struct.pack(">II", 1, 3) + b"ask"
    tell = magic.encode() + struct.pack(">II", 0x80000001, 4) + b"tell"
    return b"\x07" + struct.pack(">H", len(ask)) + ask + struct.pack(">H", 0x8000 | len(tell)) + tell


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="folder and namespace: lower-case letters and digits")
    parser.add_argument("type", metavar="CLASS", help="the dissector's class: CamelCase")
    parser.add_argument("port", type=int, help="its usual port: a hint that breaks ties")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    given = parser.parse_args()
    if not re.fullmatch(r"[a-z][a-z0-9]{1,30}", given.name):
        sys.exit(f"new_protocol: {given.name}: a name is lower-case letters and digits")
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]{1,30}", given.type):
        sys.exit(f"new_protocol: {given.type}: a class is CamelCase")
    if not 0 < given.port < 65536:
        sys.exit(f"new_protocol: {given.port}: no port")
    folder = given.root / "src/dissect" / given.name
    table = given.root / "src/dissect/protocols.def"
    if folder.exists() or f"BALEEN_PROTOCOL({given.name}," in table.read_text():
        sys.exit(f"new_protocol: {given.name} exists already")
    magic = given.name.upper().ljust(4, "0")[:4]
    words = {"@name@": given.name, "@NAME@": given.name.upper(), "@Class@": given.type, "@port@": str(given.port),
             "@MAGI@": magic}
    files = {f"{given.name}.h": HEADER, f"{given.name}.cpp": SOURCE, f"{given.name}_test.cpp": TEST,
             f"{given.name}_fuzz.cpp": FUZZ, f"{given.name}_bench.cpp": BENCH, "README.md": README}
    (folder / "corpus").mkdir(parents=True)
    for name, text in files.items():
        for word, value in words.items():
            text = text.replace(word, value)
        (folder / name).write_text(text)
    (folder / "corpus/exchange").write_bytes(seed(magic))
    with table.open("a") as out:
        out.write(f"BALEEN_PROTOCOL({given.name}, {given.type})\n")
    print(f"wrote {folder.relative_to(given.root)} and its line in src/dissect/protocols.def")


if __name__ == "__main__":
    main()
