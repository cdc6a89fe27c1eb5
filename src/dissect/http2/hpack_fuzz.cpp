#include <nghttp2/nghttp2.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "dissect/http2/hpack.h"

namespace {

std::string folded(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = baleen::dissect::lower(c);
  return out;
}

/// What libnghttp2 makes of a block; false when it refuses it.
bool read_by_nghttp2(nghttp2_hd_inflater* inflater, baleen::Bytes block, std::string& out) {
  for (;;) {
    nghttp2_nv field;
    int flags = 0;
    const ssize_t used = nghttp2_hd_inflate_hd2(inflater, &field, &flags, block.data(), block.size(), 1);
    if (used < 0) return false;
    block = block.subspan(static_cast<size_t>(used));
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      out += folded({reinterpret_cast<const char*>(field.name), field.namelen}) + '=';
      out += std::string(reinterpret_cast<const char*>(field.value), field.valuelen) + ';';
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) return nghttp2_hd_inflate_end_headers(inflater) == 0;
    if (used == 0 && (flags & NGHTTP2_HD_INFLATE_EMIT) == 0) return false;
  }
}

}  // namespace

/// Blocks with a byte in front of each that says how long it is: both decoders say the same of what both accept. And no
/// block does harm to a decoder that knows only a part of its table.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen;
  using namespace baleen::dissect::http2;
  nghttp2_hd_inflater* inflater = nullptr;
  if (nghttp2_hd_inflate_new(&inflater) != 0) std::abort();
  nghttp2_hd_inflate_change_table_size(inflater, 64 << 10);
  HeaderDecoder decoder, joined;
  joined.forget();
  bool compare = true;
  while (size > 0) {
    const size_t length = std::min<size_t>(data[0], size - 1);
    const std::vector<uint8_t> block(data + 1, data + 1 + length);
    data += 1 + length;
    size -= 1 + length;
    Arena arena;
    Block ours(arena), part(arena);
    joined.decode(block, 100, arena, part);
    if (part.bytes > 100 && !part.too_long) std::abort();
    if (!compare) continue;
    decoder.decode(block, 1 << 20, arena, ours);
    std::string expected, got;
    const bool accepted = read_by_nghttp2(inflater, block, expected);
    compare = accepted && !ours.malformed && !ours.too_long;
    if (!compare) continue;
    for (const item::Member& m : ours.fields.kept()) got += folded(m.name) + '=' + std::string(m.value.text()) + ';';
    if (got != expected) std::abort();
  }
  nghttp2_hd_inflate_del(inflater);
  return 0;
}
