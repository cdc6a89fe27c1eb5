#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/bytes.h"

namespace baleen::codec {

/// A content coding or transfer coding (RFC 9110 8.4.1, RFC 8878, RFC 7932).
enum class Coding : unsigned char { kIdentity, kGzip, kDeflate, kBrotli, kZstd, kUnknown };

/// The coding of that name, without regard to case: "gzip", "x-gzip", "deflate", "br", "zstd", "identity", "".
Coding coding_of(std::string_view name);

/// How decoding ended. Only kFailed leaves nothing; the others give what was decoded.
enum class Ending : unsigned char {
  kWhole,      // the compressed data ended as its format says
  kCapped,     // `cap` bytes came out and there would be more
  kTruncated,  // the input stopped in the middle
  kFailed,     // not this format, or broken before the first byte of output
};

struct Decoded {
  Bytes bytes;  // in the arena
  Ending ending = Ending::kFailed;
};

/// Undoes one coding into `arena`; never more than `cap` bytes come out, whatever the input claims (bombs). Any thread;
/// decoders' state is kept per thread, so that the steady state of gzip, deflate and zstd calls no malloc. "deflate" is
/// the zlib format (RFC 1950), or raw (RFC 1951) as some servers send it.
Decoded decode(Coding coding, Bytes input, size_t cap, Arena& arena);

/// The last bytes that came out of a sequence of messages which were deflated with one context (RFC 7692 7.1.1): what
/// the next may refer back to. All windows of the process together stay under a budget; one that finds no room stays
/// empty.
class InflateWindow {
 public:
  static constexpr size_t kBudget = 256 << 20;

  InflateWindow() = default;
  ~InflateWindow() { clear(); }
  InflateWindow(const InflateWindow&) = delete;
  InflateWindow& operator=(const InflateWindow&) = delete;

  Bytes bytes() const { return bytes_; }
  void set(Bytes last);
  void clear();
  /// Bytes that all windows take. Any thread.
  static size_t in_use() { return in_use_.load(std::memory_order_relaxed); }

 private:
  static std::atomic<size_t> in_use_;
  std::vector<uint8_t> bytes_;
};

struct InflatedMessage {
  Bytes bytes;        // in the arena, up to `cap`; empty when it failed
  uint64_t size = 0;  // of all that came out, kept or not
  Ending ending = Ending::kFailed;
};

/// One message of permessage-deflate (RFC 7692 7.2.2), without the four bytes that its sender cut off. No more than
/// `cap` bytes are kept; beyond that it is inflated for the sake of `window` only, up to `work` bytes in all, then
/// kCapped. `window` (null: no context is taken over) is moved on, to at most 1 << `window_bits` bytes; it is empty
/// after anything but kWhole, and later messages that refer to what it held fail until they no longer do. Any thread.
InflatedMessage inflate_message(Bytes input, InflateWindow* window, int window_bits, size_t cap, size_t work,
                                Arena& arena);

}  // namespace baleen::codec
