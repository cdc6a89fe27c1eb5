#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "net/tcp.h"

// The input is a script of segments: start, then for each 2 bytes of offset, 1 byte of length, 1 byte of what to do.
// Two properties. All segments carry the bytes of one text: whatever their order, what comes out is a prefix of it, and
// all of it once everything was there. Segments carry bytes of their own: the first bytes to arrive win, as a model
// says that keeps every byte in a map.

namespace {

using namespace baleen;
using namespace baleen::net;

struct Stream {
  SegmentStore store{1 << 20};
  TcpCounters counters;
  TcpHalf half;
  std::string out;
  ~Stream() { half.clear(store); }
  void offer(uint32_t seq, const std::string& payload, bool hold) {
    auto* block = static_cast<char*>(std::malloc(payload.size() + 1));  // freed at once: nothing may keep a view
    payload.copy(block, payload.size());
    const Bytes bytes = as_bytes({block, payload.size()});
    if (hold) {
      half.hold(seq, bytes, {}, store, counters);
    } else {
      out += as_text(half.offer(seq, bytes, {}, store, counters));
    }
    std::free(block);
    drain();
  }
  void drain() {
    Bytes bytes;
    while (half.front() != nullptr) {
      StoredSegment* segment = half.pop(bytes, counters);
      out += as_text(bytes);
      store.give(segment);
    }
  }
};

constexpr size_t kText = 700;
char text_at(uint32_t i) { return static_cast<char>('!' + i * 31 % 90); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4 || size > 4096) return 0;
  ByteReader in({data, size});
  const uint32_t start = in.be32();
  Stream same, own;
  same.half.start(start);
  own.half.start(start);
  std::map<uint32_t, char> model;  // offset -> first byte
  char letter = 'A';
  while (in.remaining() >= 4) {
    const uint32_t at = in.be16() % kText;
    const uint32_t length = std::min<uint32_t>(in.u8(), kText - at);
    const uint8_t flags = in.u8();
    std::string shared_bytes, own_bytes(length, letter);
    for (uint32_t i = 0; i < length; ++i) shared_bytes += text_at(at + i);
    const uint64_t refused = own.counters.refused_segments;
    same.offer(start + at, shared_bytes, (flags & 1) != 0);
    own.offer(start + at, own_bytes, (flags & 1) != 0);
    BALEEN_CHECK(own.counters.refused_segments == refused);  // the script is too short for any limit
    for (uint32_t i = 0; i < length; ++i) model.try_emplace(at + i, letter);
    letter = letter == 'Z' ? 'a' : letter == 'z' ? 'A' : static_cast<char>(letter + 1);
  }
  uint32_t whole = 0;  // bytes from the start on without a hole
  while (model.contains(whole)) ++whole;
  BALEEN_CHECK(same.out.size() == whole && own.out.size() == whole);
  for (uint32_t i = 0; i < whole; ++i) BALEEN_CHECK(same.out[i] == text_at(i) && own.out[i] == model[i]);
  // Giving up on holes brings out all that was kept.
  while (own.half.waiting()) {
    BALEEN_CHECK(own.half.gap() != 0);
    own.half.skip_gap();
    own.drain();
  }
  BALEEN_CHECK(own.out.size() == model.size());
  BALEEN_CHECK(own.store.bytes() == 0);
  return 0;
}
