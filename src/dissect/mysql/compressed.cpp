// The compressed protocol: frames with packets in them, cut anywhere.
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_compression_packet.html

#include <zlib.h>
#include <zstd.h>

#include <algorithm>

#include "dissect/mysql/draft.h"
#include "dissect/mysql/mysql.h"

namespace baleen::dissect::mysql {

namespace {

constexpr size_t kMaxInner = 4 << 20;  // bytes of a frame without its compression

}  // namespace

Step Mysql::compressed(const Input& in, Output& out) {
  Side& side = sides_[static_cast<int>(in.direction)];
  if (side.skip != 0) return Step::skip(std::exchange(side.skip, 0));
  if (in.bytes.size() < 7) return Step::need(7);
  const uint32_t length = load_le32(in.bytes.data()) & kFull;
  const uint32_t plain = load_le32(&in.bytes[3]) >> 8;
  const uint64_t size = uint64_t{length} + 7;
  if (size > out.settings().header_cap || plain > kMaxInner) {
    out.count(Counter::kMessageTooLong);
    gap(in.direction, 0, out);
    return Step::skip(size);
  }
  if (in.bytes.size() < size) return Step::need(size);
  if (inner_ == nullptr) inner_ = std::make_unique<Inner>();
  auto& buffer = inner_->plain[static_cast<int>(in.direction)];
  const size_t before = buffer.size();
  const uint8_t* from = in.bytes.data() + 7;
  bool good = before + std::max(plain, length) <= 2 * kMaxInner;
  if (good && plain == 0) {
    buffer.insert(buffer.end(), from, from + length);
  } else if (good) {
    buffer.resize(before + plain);
    if (compression_ == Compression::kZstd) {
      good = ZSTD_decompress(buffer.data() + before, plain, from, length) == plain;
    } else {
      uLongf n = plain;
      good = uncompress(buffer.data() + before, &n, from, length) == Z_OK && n == plain;
    }
  }
  if (!good) {
    out.count(Counter::kDecodeFailed);
    buffer.clear();
    gap(in.direction, 0, out);
    return Step::took(size);
  }
  if (!inner_packets(in, out)) {
    buffer.clear();
    return Step::took(size);  // the frames go on, whatever was in this one
  }
  return Step::took(size);
}

/// Takes what packets the decompressed bytes make; false when they make none.
bool Mysql::inner_packets(const Input& frame, Output& out) {
  auto& buffer = inner_->plain[static_cast<int>(frame.direction)];
  uint64_t& skip = inner_->skip[static_cast<int>(frame.direction)];
  size_t at = 0;
  bool good = true;
  while (at < buffer.size()) {
    const size_t over = static_cast<size_t>(std::min<uint64_t>(skip, buffer.size() - at));
    at += over;
    skip -= over;
    if (at == buffer.size()) break;
    const Step step = packets({frame.direction, {buffer.data() + at, buffer.size() - at}, frame.time, false}, out);
    if (step.kind == Step::Kind::kTook) {
      at += step.bytes;
    } else if (step.kind == Step::Kind::kSkip) {
      skip = step.bytes;
    } else {
      good = step.kind == Step::Kind::kNeed;
      break;
    }
  }
  at = std::min(at, buffer.size());  // what was lost has been forgotten already
  buffer.erase(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(at));
  if (buffer.empty()) std::vector<uint8_t>().swap(buffer);
  return good;
}
}  // namespace baleen::dissect::mysql
