#include "dissect/http2/hpack.h"

#include <malloc.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "dissect/http2/representation.h"

namespace baleen::dissect::http2 {
namespace {

// The size that an encoder may give its table. It announces each change itself, so the SETTINGS that allow it need not
// be followed; a larger table than this is refused, whatever was agreed.
constexpr size_t kMaxTable = 64 << 10;

/// Stands for a name that is not known, in the inflater and in what it emits: no real name holds a NUL.
constexpr uint8_t kNoName = 0;

// ---- memory ----
// libnghttp2 allocates for each entry of a table and each literal. These come from free lists by size, so that the
// steady state calls no malloc.

// A block's size is asked of malloc: a head of our own would cost an idle connection a kilobyte.
class SizedBlocks {
 public:
  ~SizedBlocks() {
    for (Free*& list : free_)
      while (Free* block = list) {
        list = block->next;
        std::free(block);
      }
    gone_ = true;
  }

  void* take(size_t size) {
    const size_t row = size <= 8 ? 0 : (size + 7) / 16;
    if (row >= kRows) return std::malloc(size);
    Free* const block = free_[row];
    if (block == nullptr) return std::malloc(bytes_of(row));
    free_[row] = block->next;
    kept_ -= bytes_of(row);
    return block;
  }
  void give(void* pointer) {
    if (pointer == nullptr) return;
    const size_t row = (malloc_usable_size(pointer) - 8) / 16;
    if (row >= kRows || gone_ || kept_ > kKeep) return std::free(pointer);
    free_[row] = new (pointer) Free{free_[row]};
    kept_ += bytes_of(row);
  }

 private:
  static constexpr size_t kRows = 128, kKeep = 1 << 20;
  struct Free {
    Free* next;
  };
  /// Sizes that glibc's malloc rounds nothing up to.
  static constexpr size_t bytes_of(size_t row) { return row * 16 + 8; }

  Free* free_[kRows] = {};
  size_t kept_ = 0;
  bool gone_ = false;
};

SizedBlocks& blocks() {
  static thread_local SizedBlocks per_thread;
  return per_thread;
}

void* take(size_t size, void*) { return blocks().take(size); }
void give(void* pointer, void*) { blocks().give(pointer); }
void* take_zeroed(size_t count, size_t size, void*) {
  void* const p = blocks().take(count * size);
  return p == nullptr ? nullptr : std::memset(p, 0, count * size);
}
void* resize(void* pointer, size_t size, void*) {
  void* const bigger = blocks().take(size);
  if (pointer != nullptr && bigger != nullptr) {
    std::memcpy(bigger, pointer, std::min(size, malloc_usable_size(pointer)));
    blocks().give(pointer);
  }
  return bigger;
}

/// The inflater keeps a pointer to it.
nghttp2_mem memory{nullptr, take, give, take_zeroed, resize};

/// "content-type" as "Content-Type", as Go's http.CanonicalHeaderKey writes it; names with other characters stay.
void write_name(char* out, std::string_view name) {
  bool up = true;
  for (size_t i = 0; i < name.size(); ++i) {
    out[i] = up ? upper(name[i]) : lower(name[i]);
    up = name[i] == '-';
  }
}

}  // namespace

void HeaderDecoder::forget() {
  if (inflater_ != nullptr) nghttp2_hd_inflate_del(inflater_);
  inflater_ = nullptr;
  partial_ = true;
}

void HeaderDecoder::ready() {
  if (inflater_ != nullptr) return;
  if (nghttp2_hd_inflate_new2(&inflater_, &memory) != 0) throw std::bad_alloc();
  nghttp2_hd_inflate_change_table_size(inflater_, kMaxTable);
}

bool HeaderDecoder::inflate(Bytes bytes, bool last, size_t cap, Arena& arena, Block& out) {
  for (;;) {
    nghttp2_nv field;
    int flags = 0;
    const ssize_t used = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, bytes.data(), bytes.size(), last ? 1 : 0);
    if (used < 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(used));
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      const size_t size = field.namelen + field.valuelen;
      out.bytes += size;
      if (out.bytes > cap || out.fields.size() >= kMaxBlockFields) {
        out.too_long = true;
        continue;
      }
      const bool no_name = field.namelen == 1 && field.name[0] == kNoName;
      char* const text = static_cast<char*>(arena.allocate(size + 1, 1));
      if (!no_name) write_name(text, {reinterpret_cast<const char*>(field.name), field.namelen});
      std::memcpy(text + field.namelen, field.value, field.valuelen);
      out.fields.push({std::string_view(text, no_name ? 0 : field.namelen),
                       std::string_view(text + field.namelen, field.valuelen)});
      continue;
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0 || bytes.empty()) return true;
  }
}

/// One instruction after the other, so that those which point to unknown entries can be kept from the inflater.
bool HeaderDecoder::decode_part(Bytes block, size_t cap, Arena& arena, Block& out) {
  Representation r;
  for (; !block.empty(); block = block.subspan(r.bytes)) {
    if (!next_representation(block, r)) return false;
    const bool points = r.kind != Representation::Kind::kSizeUpdate;
    if (!points || r.index <= nghttp2_hd_inflate_get_num_table_entries(inflater_)) {
      if (!inflate(block.first(r.bytes), false, cap, arena, out)) return false;
    } else if (r.kind == Representation::Kind::kIndexed) {
      ++out.unknown;
    } else {
      // The same with a literal name, which costs the table less than any real one: entries leave ours later than
      // theirs, which does no harm.
      const uint8_t kind = block[0] & (r.kind == Representation::Kind::kIndexing ? 0xC0 : 0xF0);
      const uint8_t name[] = {kind, 1, kNoName};
      if (!inflate(name, false, cap, arena, out)) return false;
      if (!inflate(block.subspan(r.value_at, r.bytes - r.value_at), false, cap, arena, out)) return false;
    }
  }
  return true;
}

void HeaderDecoder::decode(Bytes block, size_t cap, Arena& arena, Block& out) {
  ready();
  const bool good = partial_ ? decode_part(block, cap, arena, out) : inflate(block, true, cap, arena, out);
  if (good) {
    nghttp2_hd_inflate_end_headers(inflater_);
  } else {
    out.malformed = true;
    forget();
  }
}

}  // namespace baleen::dissect::http2
