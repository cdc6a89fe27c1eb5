#include "capture/pcap_file/decompressor.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>

#include "base/check.h"

namespace baleen::capture {

namespace {

class Gzip : public Decompressor {
 public:
  Gzip() { BALEEN_CHECK(inflateInit2(&stream_, 15 + 16) == Z_OK); }
  ~Gzip() override { inflateEnd(&stream_); }

  Result<Step> decode(Bytes in, std::span<uint8_t> out) override {
    Step step;
    if (over_) {
      // RFC 1952 2.2: members follow one another. Anything else behind a member is padding, as gzip(1) takes it.
      if (in.empty()) return step;
      if (in[0] != 0x1f) return Step{in.size(), 0};
      inflateReset(&stream_);
      over_ = false;
    }
    stream_.next_in = const_cast<uint8_t*>(in.data());
    stream_.avail_in = static_cast<uInt>(std::min<size_t>(in.size(), 1u << 30));
    stream_.next_out = out.data();
    stream_.avail_out = static_cast<uInt>(std::min<size_t>(out.size(), 1u << 30));
    const int status = inflate(&stream_, Z_NO_FLUSH);
    step.consumed = static_cast<size_t>(stream_.next_in - in.data());
    step.produced = static_cast<size_t>(stream_.next_out - out.data());
    if (status == Z_STREAM_END) {
      over_ = true;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      return Error{Code::kInvalid, fmt::format("corrupt gzip data: {}", stream_.msg ? stream_.msg : "unknown damage")};
    }
    return step;
  }
  bool complete() const override { return over_; }

 private:
  z_stream stream_{};
  bool over_ = false;
};

class Zstd : public Decompressor {
 public:
  Zstd() : stream_(ZSTD_createDStream()) {
    BALEEN_CHECK(stream_ != nullptr);
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, 27);
  }
  ~Zstd() override { ZSTD_freeDStream(stream_); }

  Result<Step> decode(Bytes in, std::span<uint8_t> out) override {
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    const size_t hint = ZSTD_decompressStream(stream_, &to, &from);
    if (ZSTD_isError(hint)) return Error{Code::kInvalid, fmt::format("corrupt zstd data: {}", ZSTD_getErrorName(hint))};
    if (from.pos != 0 || to.pos != 0) complete_ = hint == 0;
    return Step{from.pos, to.pos};
  }
  bool complete() const override { return complete_; }

 private:
  ZSTD_DStream* stream_;
  bool complete_ = false;
};

}  // namespace

std::unique_ptr<Decompressor> gzip_decompressor() { return std::make_unique<Gzip>(); }
std::unique_ptr<Decompressor> zstd_decompressor() { return std::make_unique<Zstd>(); }

std::unique_ptr<Decompressor> decompressor_for(Bytes first) {
  if (load_be16(first.data()) == 0x1f8b) return gzip_decompressor();
  const uint32_t magic = load_le32(first.data());
  const bool skippable = (magic & 0xfffffff0) == 0x184d2a50;  // RFC 8878 3.1.2: may come before the first frame
  if (magic == 0xfd2fb528 || skippable) return zstd_decompressor();
  return nullptr;
}

}  // namespace baleen::capture
