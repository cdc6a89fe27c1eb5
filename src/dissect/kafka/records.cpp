// https://kafka.apache.org/documentation/#messageformat

#include "dissect/kafka/records.h"

#include <lz4frame.h>
#include <snappy.h>

#include <algorithm>
#include <memory>

#include "codec/inflate.h"
#include "dissect/build.h"
#include "dissect/kafka/schema.h"

namespace baleen::dissect::kafka {

using item::Value;

namespace {

constexpr std::string_view kCompressions[] = {"none", "gzip", "snappy", "lz4", "zstd"};
constexpr size_t kBatchHeader = 61;
constexpr int kMaxNesting = 2;

struct Records {
  Arena& arena;
  size_t cap;
  ListOf list;
  uint64_t count = 0, batches = 0;
  unsigned compression = 0;
  int magic = -1;
  bool truncated = false, undecodable = false, transactional = false, control = false;
  int64_t base_offset = -1, producer_id = -1;
  std::string_view first_key;

  void keep(int64_t offset, int64_t timestamp, Value key, Value value, Value headers) {
    if (list.size() >= kMaxRecords) {
      truncated = true;
      return;
    }
    MapOf map(arena);
    map.add("offset", offset);
    if (timestamp >= 0) map.add("timestamp", timestamp);
    map.add("key", key);
    map.add("value", value);
    if (!headers.is_null()) map.add("headers", headers);
    list.push(map.build());
  }
};

Value text_of(ByteReader& r, int64_t size) {
  return size < 0 ? Value() : text_or_bytes(r.text(static_cast<size_t>(size)));
}

Bytes unsnap_one(Bytes in, size_t cap, Arena& arena) {
  size_t size = 0;
  const char* p = reinterpret_cast<const char*>(in.data());
  if (!snappy::GetUncompressedLength(p, in.size(), &size) || size > cap) return {};
  char* const out = static_cast<char*>(arena.allocate(size + 1, 1));
  if (!snappy::RawUncompress(p, in.size(), out)) return {};
  return {reinterpret_cast<uint8_t*>(out), size};
}

/// Snappy as it is, or in the frames of the xerial library, as the Java clients write it.
Bytes unsnap(Bytes in, size_t cap, Arena& arena) {
  constexpr uint8_t kXerial[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
  if (in.size() < 16 || !std::equal(std::begin(kXerial), std::end(kXerial), in.begin()))
    return unsnap_one(in, cap, arena);
  size_t total = 0;
  const auto each = [&](auto use) {
    ByteReader r(in.subspan(16));
    while (r.ok() && r.remaining() >= 4) {
      const Bytes chunk = r.bytes(r.be32());
      size_t size = 0;
      if (!r.ok() || !snappy::GetUncompressedLength(reinterpret_cast<const char*>(chunk.data()), chunk.size(), &size))
        return false;
      if (!use(chunk, size)) return false;
    }
    return r.ok();
  };
  if (!each([&](Bytes, size_t size) { return (total += size) <= cap; })) return {};
  char* const out = static_cast<char*>(arena.allocate(total + 1, 1));
  size_t at = 0;
  const bool ok = each([&](Bytes chunk, size_t size) {
    const bool good = snappy::RawUncompress(reinterpret_cast<const char*>(chunk.data()), chunk.size(), out + at);
    at += size;
    return good;
  });
  return ok ? Bytes{reinterpret_cast<uint8_t*>(out), total} : Bytes{};
}

struct Lz4Free {
  void operator()(LZ4F_dctx* context) const { LZ4F_freeDecompressionContext(context); }
};

/// One context per thread, so that the steady state allocates nothing but what a frame's block size asks for.
LZ4F_dctx* lz4_context() {
  thread_local const std::unique_ptr<LZ4F_dctx, Lz4Free> context([] {
    LZ4F_dctx* made = nullptr;
    return LZ4F_isError(LZ4F_createDecompressionContext(&made, LZ4F_VERSION)) ? nullptr : made;
  }());
  return context.get();
}

Bytes unlz4(Bytes in, size_t cap, Arena& arena) {
  LZ4F_dctx* const context = lz4_context();
  if (context == nullptr) return {};
  LZ4F_resetDecompressionContext(context);
  size_t room = std::min(cap, std::max<size_t>(4096, in.size() * 4));
  char* out = static_cast<char*>(arena.allocate(room + 1, 1));
  size_t at = 0;
  while (!in.empty()) {
    size_t used = in.size(), made = room - at;
    const size_t more = LZ4F_decompress(context, out + at, &made, in.data(), &used, nullptr);
    if (LZ4F_isError(more)) return {};
    at += made;
    in = in.subspan(used);
    if (more == 0) break;
    if (at == room) {
      if (room >= cap) return {};
      const size_t wider = std::min(cap, room * 4);
      char* const moved = static_cast<char*>(arena.allocate(wider + 1, 1));
      std::copy(out, out + at, moved);
      out = moved;
      room = wider;
    } else if (used == 0 && made == 0) {
      break;
    }
  }
  return {reinterpret_cast<uint8_t*>(out), at};
}

Bytes uncompress(unsigned compression, Bytes in, size_t cap, Arena& arena) {
  switch (compression) {
    case 0: return in;
    case 1: return codec::decode(codec::Coding::kGzip, in, cap, arena).bytes;
    case 2: return unsnap(in, cap, arena);
    case 3: return unlz4(in, cap, arena);
    case 4: return codec::decode(codec::Coding::kZstd, in, cap, arena).bytes;
    default: return {};
  }
}

void read_batch_records(Bytes bytes, int64_t base_offset, int64_t base_time, int32_t count, Records& out) {
  ByteReader r(bytes);
  for (int32_t i = 0; i < count && !r.at_end(); ++i) {
    if (out.list.size() >= kMaxRecords) {
      out.truncated = true;
      return;
    }
    const int64_t size = signed_varint(r);
    if (size < 0) return r.fail();
    ByteReader record(r.bytes(static_cast<size_t>(size)));
    if (!r.ok()) break;
    record.u8();  // attributes: none are defined
    const int64_t time = signed_varint(record), offset = signed_varint(record);
    const Value key = text_of(record, signed_varint(record));
    const Value value = text_of(record, signed_varint(record));
    const int64_t headers = signed_varint(record);
    Value header_map;
    if (headers > 0 && headers <= static_cast<int64_t>(record.remaining())) {
      MapOf map(out.arena);
      for (int64_t h = 0; h < headers && record.ok(); ++h) {
        const int64_t name_size = signed_varint(record);
        const std::string_view name = name_size < 0 ? std::string_view() : record.text(static_cast<size_t>(name_size));
        const Value v = text_of(record, signed_varint(record));
        if (record.ok() && is_text(name)) map.add(name, v);
      }
      header_map = map.build();
    }
    if (!record.ok()) {
      out.undecodable = true;
      return;
    }
    out.keep(base_offset + offset, base_time < 0 ? -1 : base_time + time, key, value, header_map);
  }
  if (!r.ok()) out.truncated = true;
}

/// One batch at the front of `r`; false when the rest is not one.
bool read_batch(ByteReader& r, Records& out) {
  ByteReader h(r.bytes(std::min(kBatchHeader, r.remaining())));
  const int64_t base_offset = static_cast<int64_t>(h.be64());
  const int32_t length = static_cast<int32_t>(h.be32());
  h.be32();  // leader epoch
  h.u8();    // magic
  h.be32();  // CRC-32C
  const unsigned attributes = h.be16();
  h.be32();
  const int64_t base_time = static_cast<int64_t>(h.be64());
  h.be64();
  const int64_t producer_id = static_cast<int64_t>(h.be64());
  h.be16();
  h.be32();
  const int32_t count = static_cast<int32_t>(h.be32());
  if (!h.ok() || length < static_cast<int32_t>(kBatchHeader - 12) || count < 0) {
    out.truncated = true;
    return false;
  }
  ++out.batches;
  out.magic = 2;
  out.count += static_cast<uint64_t>(count);
  out.compression = attributes & 7;
  out.transactional |= (attributes & 0x10) != 0;
  out.control |= (attributes & 0x20) != 0;
  if (out.base_offset < 0) out.base_offset = base_offset;
  if (out.producer_id < 0) out.producer_id = producer_id;
  const size_t size = static_cast<size_t>(length) - (kBatchHeader - 12);
  const bool whole = size <= r.remaining();
  const Bytes body = r.bytes(std::min(size, r.remaining()));
  if (!whole) out.truncated = true;
  if (out.compression != 0 && !whole) return false;
  const Bytes plain = uncompress(out.compression, body, out.cap, out.arena);
  if (plain.empty() && !body.empty()) out.undecodable = true;
  read_batch_records(plain, base_offset, base_time, count, out);
  return whole;
}

/// One message of a message set (magic 0 or 1).
bool read_message(ByteReader& r, Records& out, int nesting) {
  const int64_t offset = static_cast<int64_t>(r.be64());
  const int32_t size = static_cast<int32_t>(r.be32());
  if (!r.ok() || size < 14 || static_cast<size_t>(size) > r.remaining()) {
    out.truncated = true;
    return false;
  }
  ByteReader m(r.bytes(static_cast<size_t>(size)));
  m.be32();  // CRC-32
  const int magic = m.u8();
  const unsigned attributes = m.u8();
  const int64_t time = magic >= 1 ? static_cast<int64_t>(m.be64()) : -1;
  const Value key = text_of(m, static_cast<int32_t>(m.be32()));
  const int32_t value_size = static_cast<int32_t>(m.be32());
  const Bytes value = value_size < 0 ? Bytes{} : m.bytes(static_cast<size_t>(value_size));
  if (!m.ok()) {
    out.undecodable = true;
    return false;
  }
  if (nesting == 0) {
    ++out.batches;
    out.magic = magic;
    out.compression = attributes & 7;
    if (out.base_offset < 0) out.base_offset = offset;
  }
  if ((attributes & 7) == 0) {
    ++out.count;
    out.keep(offset, time, key, value_size < 0 ? Value() : text_or_bytes(as_text(value)), {});
    return true;
  }
  const Bytes plain = uncompress(attributes & 7, value, out.cap, out.arena);
  if (plain.empty() || nesting >= kMaxNesting) {
    out.undecodable = true;
    return true;
  }
  for (ByteReader inner(plain); !inner.at_end() && read_message(inner, out, nesting + 1);) {
  }
  return true;
}

}  // namespace

Value decode_records(Bytes bytes, size_t cap, Arena& arena) {
  Records out{.arena = arena, .cap = cap, .list = ListOf(arena)};
  for (ByteReader r(bytes); !r.at_end();) {
    // The byte that tells the formats apart stands at the same place in all of them.
    const Bytes rest = bytes.subspan(r.position());
    if (rest.size() < 17) {
      out.truncated = true;
      break;
    }
    if (!(rest[16] == 2 ? read_batch(r, out) : read_message(r, out, 0))) break;
  }
  MapOf map(arena);
  map.add("size", uint64_t{bytes.size()});
  if (out.magic >= 0) map.add("magic", out.magic);
  map.add("count", out.count);
  map.add("batches", out.batches);
  map.add("compression", out.compression < std::size(kCompressions) ? kCompressions[out.compression] : "unknown");
  if (out.base_offset >= 0) map.add("baseOffset", out.base_offset);
  if (out.producer_id >= 0) map.add("producerId", out.producer_id);
  if (out.transactional) map.add("transactional", true);
  if (out.control) map.add("control", true);
  map.add("records", out.list.build());
  if (out.truncated) map.add("truncated", true);
  if (out.undecodable) map.add("undecodable", true);
  return map.build();
}

}  // namespace baleen::dissect::kafka
