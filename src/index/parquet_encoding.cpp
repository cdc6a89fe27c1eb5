#include "index/parquet_encoding.h"

#include <algorithm>
#include <array>
#include <bit>

#include "index/thrift_writer.h"

namespace baleen::index {
namespace {

constexpr size_t kGroup = 8;    // values that are packed together
constexpr size_t kBlock = 128;  // of deltas
constexpr size_t kMiniBlocks = 4;
constexpr size_t kMiniBlock = kBlock / kMiniBlocks;

/// Packs values of up to 64 bits, the lowest bits first.
class BitPacker {
 public:
  explicit BitPacker(std::string& out) : out_(out) {}
  void add(uint64_t value, unsigned width) {
    if (width > 32) {
      add(value & 0xFFFFFFFF, 32);
      value >>= 32, width -= 32;
    }
    pending_ |= value << held_;
    held_ += width;
    for (; held_ >= 8; held_ -= 8, pending_ >>= 8) out_ += static_cast<char>(pending_);
  }

 private:
  std::string& out_;
  uint64_t pending_ = 0;  // below 8 bits between two calls
  unsigned held_ = 0;
};

size_t run_at(std::span<const uint32_t> values, size_t begin) {
  size_t end = begin + 1;
  while (end < values.size() && values[end] == values[begin]) ++end;
  return end - begin;
}

/// The block's smallest delta, each miniblock's width, and what the deltas exceed the smallest one by.
void append_block(std::span<const uint64_t> deltas, int64_t lowest, uint64_t mask, ThriftWriter& thrift,
                  std::string& out) {
  thrift.i32(lowest);
  std::array<unsigned, kMiniBlocks> widths{};
  for (size_t i = 0; i < deltas.size(); ++i) {
    unsigned& width = widths[i / kMiniBlock];
    width = std::max(width, bits_of((deltas[i] - static_cast<uint64_t>(lowest)) & mask));
  }
  for (const unsigned width : widths) out += static_cast<char>(width);
  for (size_t mini = 0; mini * kMiniBlock < deltas.size(); ++mini) {
    BitPacker packer(out);
    for (size_t i = mini * kMiniBlock; i < (mini + 1) * kMiniBlock; ++i)
      packer.add(i < deltas.size() ? (deltas[i] - static_cast<uint64_t>(lowest)) & mask : 0, widths[mini]);
  }
}

}  // namespace

unsigned bits_of(uint64_t largest) { return static_cast<unsigned>(std::bit_width(largest)); }

void append_hybrid(std::span<const uint32_t> values, unsigned width, std::string& out) {
  ThriftWriter thrift(out);
  for (size_t i = 0; i < values.size();) {
    if (const size_t run = run_at(values, i); run >= kGroup) {
      thrift.varint(run << 1);
      for (unsigned bit = 0; bit < width; bit += 8) out += static_cast<char>(values[i] >> bit);
      i += run;
      continue;
    }
    size_t end = i;
    while (end < values.size() && run_at(values.subspan(0, std::min(values.size(), end + kGroup)), end) < kGroup)
      end = std::min(values.size(), end + kGroup);
    const size_t groups = (end - i + kGroup - 1) / kGroup;
    thrift.varint(groups << 1 | 1);
    BitPacker packer(out);
    for (size_t n = 0; n < groups * kGroup; ++n) packer.add(i + n < end ? values[i + n] : 0, width);
    i = end;
  }
}

void append_delta(std::span<const int64_t> values, bool narrow, std::string& out) {
  ThriftWriter thrift(out);
  thrift.varint(kBlock);
  thrift.varint(kMiniBlocks);
  thrift.varint(values.size());
  thrift.i32(values.empty() ? 0 : values[0]);
  const uint64_t mask = narrow ? 0xFFFFFFFF : ~uint64_t{0};
  std::array<uint64_t, kBlock> deltas;
  for (size_t begin = 1; begin < values.size(); begin += kBlock) {
    const size_t n = std::min(kBlock, values.size() - begin);
    int64_t lowest = INT64_MAX;
    for (size_t i = 0; i < n; ++i) {
      deltas[i] = static_cast<uint64_t>(values[begin + i]) - static_cast<uint64_t>(values[begin + i - 1]);
      const auto delta = static_cast<int64_t>(deltas[i]);
      lowest = std::min(lowest, narrow ? static_cast<int32_t>(delta) : delta);
    }
    append_block({deltas.data(), n}, lowest, mask, thrift, out);
  }
}

}  // namespace baleen::index
