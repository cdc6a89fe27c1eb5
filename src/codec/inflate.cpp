#include "codec/inflate.h"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <memory>
#include <vector>

// Each decoder writes into a scratch buffer of its thread, which grows by doubling up to the cap and stays; what came
// out is then copied into the arena at its exact size. So an item's arena never holds a half-empty buffer, and a
// hostile "size" field in a header allocates nothing.

namespace baleen::codec {
namespace {

constexpr size_t kFirstRoom = 64 << 10;
constexpr int kZstdWindowLogMax = 23;  // 8 MiB, what RFC 8878 3.1.1.1.2 asks decoders to support

/// The thread's output room; `grow` doubles it until `cap`.
class Scratch {
 public:
  explicit Scratch(size_t cap) : cap_(cap) { reserve(std::min(cap, kFirstRoom)); }
  uint8_t* at() const { return room_.data() + used_; }
  size_t left() const { return std::min(cap_, room_.size()) - used_; }
  void wrote(size_t n) { used_ += n; }
  size_t used() const { return used_; }
  bool full() const { return used_ >= cap_; }
  void grow() { reserve(std::min(cap_, room_.size() * 2)); }
  Bytes bytes() const { return {room_.data(), used_}; }

 private:
  static void reserve(size_t n) {
    if (room_.size() < n) room_.resize(n);
  }
  static thread_local std::vector<uint8_t> room_;
  size_t cap_;
  size_t used_ = 0;
};
thread_local std::vector<uint8_t> Scratch::room_;

enum class Format : unsigned char { kGzip, kZlib, kRaw };

/// An inflater that is reset instead of made anew: inflateInit takes about 40 kB from malloc.
class Inflater {
 public:
  Inflater() { ready_ = inflateInit2(&z_, 15 + 16) == Z_OK; }
  ~Inflater() {
    if (ready_) inflateEnd(&z_);
  }
  Ending run(Format format, Bytes in, Scratch& out) {
    const int bits = format == Format::kGzip ? 15 + 16 : format == Format::kZlib ? 15 : -15;
    if (!ready_ || inflateReset2(&z_, bits) != Z_OK) return Ending::kFailed;
    z_.next_in = const_cast<Bytef*>(in.data());
    z_.avail_in = static_cast<uInt>(in.size());
    for (;;) {
      if (out.left() == 0) {
        if (out.full()) return Ending::kCapped;
        out.grow();
      }
      const size_t room = out.left();
      z_.next_out = out.at();
      z_.avail_out = static_cast<uInt>(room);
      const int rc = inflate(&z_, Z_NO_FLUSH);
      out.wrote(room - z_.avail_out);
      if (rc == Z_STREAM_END) {
        // RFC 1952 2.2: a file may have several members.
        if (format != Format::kGzip || z_.avail_in < 2 || z_.next_in[0] != 0x1F || z_.next_in[1] != 0x8B)
          return Ending::kWhole;
        if (inflateReset(&z_) != Z_OK) return Ending::kWhole;
        continue;
      }
      if (rc != Z_OK && rc != Z_BUF_ERROR) return out.used() > 0 ? Ending::kTruncated : Ending::kFailed;
      if (z_.avail_in == 0 && z_.avail_out > 0) return Ending::kTruncated;
    }
  }

 private:
  z_stream z_{};
  bool ready_;
};

Ending run_inflate(Coding coding, Bytes in, Scratch& out) {
  static thread_local Inflater inflater;
  if (coding == Coding::kGzip) return inflater.run(Format::kGzip, in, out);
  // RFC 1950 2.2: CM is 8 and the two bytes of the header are a multiple of 31. What does not begin so is raw.
  const bool zlib = in.size() >= 2 && (in[0] & 0x0F) == 8 && load_be16(in.data()) % 31 == 0;
  return inflater.run(zlib ? Format::kZlib : Format::kRaw, in, out);
}

Ending run_brotli(Bytes in, Scratch& out) {
  const std::unique_ptr<BrotliDecoderState, void (*)(BrotliDecoderState*)> state(
      BrotliDecoderCreateInstance(nullptr, nullptr, nullptr), BrotliDecoderDestroyInstance);
  if (state == nullptr) return Ending::kFailed;
  size_t left = in.size();
  const uint8_t* at = in.data();
  for (;;) {
    if (out.left() == 0) {
      if (out.full()) return Ending::kCapped;
      out.grow();
    }
    size_t room = out.left();
    const size_t before = room;
    uint8_t* to = out.at();
    const auto rc = BrotliDecoderDecompressStream(state.get(), &left, &at, &room, &to, nullptr);
    out.wrote(before - room);
    if (rc == BROTLI_DECODER_RESULT_SUCCESS) return Ending::kWhole;
    if (rc == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT) return Ending::kTruncated;
    if (rc == BROTLI_DECODER_RESULT_ERROR) return out.used() > 0 ? Ending::kTruncated : Ending::kFailed;
  }
}

Ending run_zstd(Bytes in, Scratch& out) {
  static thread_local const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                                       ZSTD_freeDCtx);
  if (context == nullptr) return Ending::kFailed;
  ZSTD_DCtx_reset(context.get(), ZSTD_reset_session_only);
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kZstdWindowLogMax);
  ZSTD_inBuffer input{in.data(), in.size(), 0};
  for (;;) {
    if (out.left() == 0) {
      if (out.full()) return Ending::kCapped;
      out.grow();
    }
    ZSTD_outBuffer output{out.at(), out.left(), 0};
    const size_t rc = ZSTD_decompressStream(context.get(), &output, &input);
    out.wrote(output.pos);
    if (ZSTD_isError(rc)) return out.used() > 0 ? Ending::kTruncated : Ending::kFailed;
    if (rc == 0 && input.pos == input.size) return Ending::kWhole;
    if (input.pos == input.size && output.pos < output.size) return Ending::kTruncated;
  }
}

/// RFC 7692 7.2.2, with a decompressor of the thread's own: what a connection keeps between messages is its window.
class MessageInflater {
 public:
  MessageInflater() { ready_ = inflateInit2(&z_, -15) == Z_OK; }
  ~MessageInflater() {
    if (ready_) inflateEnd(&z_);
  }

  /// Writes the first bytes into `out`, the others nowhere, and counts them all.
  Ending run(Bytes in, Bytes before, Scratch& out, size_t work, uint64_t& size) {
    static constexpr uint8_t kTail[] = {0x00, 0x00, 0xFF, 0xFF};
    if (!ready_ || !begin(before)) return Ending::kFailed;
    int finals = 0;
    for (const Bytes part : {in, Bytes(kTail)}) {
      z_.next_in = const_cast<Bytef*>(part.data());
      z_.avail_in = static_cast<uInt>(part.size());
      for (;;) {
        const int rc = step(out, size);
        if (size > work) return Ending::kCapped;
        if (rc == Z_STREAM_END) {
          // 7.2.3.4: a final block may end a message, and blocks after it begin a stream of their own.
          if (++finals > kMostFinals || !go_on()) return Ending::kFailed;
        } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
          return Ending::kFailed;
        }
        if (z_.avail_in == 0 && z_.avail_out > 0) break;
      }
    }
    return Ending::kWhole;
  }
  /// The last bytes that came out, with what was there before them. Valid until the next call.
  Bytes last() {
    uInt n = 0;
    if (inflateGetDictionary(&z_, window_, &n) != Z_OK) n = 0;
    return {window_, n};
  }

 private:
  static constexpr int kMostFinals = 16;  // each costs a window's copy

  bool begin(Bytes before) {
    if (inflateReset2(&z_, -15) != Z_OK) return false;
    return before.empty() || inflateSetDictionary(&z_, before.data(), static_cast<uInt>(before.size())) == Z_OK;
  }
  bool go_on() {
    const Bytef* const next = z_.next_in;
    const uInt left = z_.avail_in;
    if (!begin(last())) return false;
    z_.next_in = const_cast<Bytef*>(next);
    z_.avail_in = left;
    return true;
  }
  int step(Scratch& out, uint64_t& size) {
    if (out.left() == 0 && !out.full()) out.grow();
    const bool keeps = out.left() > 0;
    const size_t room = keeps ? out.left() : sizeof nowhere_;
    z_.next_out = keeps ? out.at() : nowhere_;
    z_.avail_out = static_cast<uInt>(room);
    const int rc = inflate(&z_, Z_SYNC_FLUSH);
    const size_t came = room - z_.avail_out;
    if (keeps) out.wrote(came);
    size += came;
    return rc;
  }

  z_stream z_{};
  bool ready_;
  uint8_t window_[32 << 10];
  uint8_t nowhere_[16 << 10];
};

bool alike(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() && std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a | 0x20) : a) == b;
         });
}

}  // namespace

Coding coding_of(std::string_view name) {
  if (name.empty() || alike(name, "identity")) return Coding::kIdentity;
  if (alike(name, "gzip") || alike(name, "x-gzip")) return Coding::kGzip;
  if (alike(name, "deflate")) return Coding::kDeflate;
  if (alike(name, "br")) return Coding::kBrotli;
  if (alike(name, "zstd")) return Coding::kZstd;
  return Coding::kUnknown;
}

Decoded decode(Coding coding, Bytes input, size_t cap, Arena& arena) {
  if (coding == Coding::kUnknown || cap == 0 || input.empty()) return {};
  if (coding == Coding::kIdentity) {
    const bool whole = input.size() <= cap;
    return {arena.copy(input.first(std::min(cap, input.size()))), whole ? Ending::kWhole : Ending::kCapped};
  }
  Scratch out(cap);
  const Ending ending = coding == Coding::kBrotli ? run_brotli(input, out)
                        : coding == Coding::kZstd ? run_zstd(input, out)
                                                  : run_inflate(coding, input, out);
  if (ending == Ending::kFailed) return {};
  return {arena.copy(out.bytes()), ending};
}

std::atomic<size_t> InflateWindow::in_use_{0};

void InflateWindow::set(Bytes last) {
  if (last.size() > bytes_.capacity()) {
    const size_t room = std::min<size_t>(std::max(last.size(), bytes_.capacity() * 2), size_t{32} << 10);
    const size_t more = room - bytes_.capacity();
    if (in_use_.fetch_add(more, std::memory_order_relaxed) + more > kBudget) {
      in_use_.fetch_sub(more, std::memory_order_relaxed);
      return clear();
    }
    bytes_.reserve(room);
  }
  bytes_.assign(last.begin(), last.end());
}

void InflateWindow::clear() {
  in_use_.fetch_sub(bytes_.capacity(), std::memory_order_relaxed);
  std::vector<uint8_t>().swap(bytes_);
}

InflatedMessage inflate_message(Bytes input, InflateWindow* window, int window_bits, size_t cap, size_t work,
                                Arena& arena) {
  static thread_local const auto inflater = std::make_unique<MessageInflater>();
  Scratch out(cap);
  InflatedMessage message;
  message.ending = inflater->run(input, window != nullptr ? window->bytes() : Bytes(), out, work, message.size);
  if (window != nullptr) {
    if (message.ending == Ending::kWhole) {
      const Bytes last = inflater->last();
      window->set(last.last(std::min(last.size(), size_t{1} << window_bits)));
    } else {
      window->clear();
    }
  }
  if (message.ending != Ending::kFailed) message.bytes = arena.copy(out.bytes());
  return message;
}

}  // namespace baleen::codec
