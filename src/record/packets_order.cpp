#include "record/packets_order.h"

#include <algorithm>
#include <filesystem>

#include "base/crc32c.h"

namespace baleen::record {
namespace {

constexpr size_t kPrefetch = 4;  // pieces ahead

/// A stream's packets lie far apart in the journal: each begins with a wait for memory otherwise.
void prefetch(const uint8_t* bytes, uint64_t size) {
  constexpr uint64_t kLine = 64, kMost = 8 * kLine;  // from there on the processor has seen where it goes
  for (uint64_t line = 0; line < std::min(size, kMost); line += kLine) __builtin_prefetch(bytes + line);
}

uint64_t take_number(ByteReader& r) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const uint8_t byte = r.u8();
    value |= uint64_t{byte & 0x7Fu} << shift;
    if ((byte & 0x80) == 0) return value;
  }
  r.fail();
  return 0;
}

}  // namespace

void PacketsOrder::number(uint64_t value) {
  for (; value >= 0x80; value >>= 7) text_ += static_cast<char>(value | 0x80);
  text_ += static_cast<char>(value);
}

void PacketsOrder::add(std::string_view bytes) {
  if (bytes.empty()) return;
  number(bytes.size() << 1);
  text_ += bytes;
  size_ += bytes.size();
  crc_ = baleen::crc32c(as_bytes(bytes), crc_);
}

void PacketsOrder::add(const PacketPlace& place) {
  number(uint64_t{place.size} << 1 | 1);
  const auto distance = static_cast<int64_t>(place.offset - last_end_);
  number(static_cast<uint64_t>(distance) << 1 ^ static_cast<uint64_t>(distance >> 63));
  last_end_ = place.offset + place.size;
  size_ += place.size;
  crc_ = crc32c_of_both(crc_, place.crc32c, place.size);
}

Result<std::unique_ptr<io::ByteSource>> open_packets(const std::string& folder, uint64_t size) {
  const std::string order = folder + "/packets.order";
  std::error_code ignored;
  if (!std::filesystem::exists(order, ignored)) return io::open_source(folder + "/packets.pcapng");
  BALEEN_TRY(auto packets, OrderedPackets::open(folder + "/packets.journal", order, size));
  return std::unique_ptr<io::ByteSource>(std::move(packets));
}

Result<std::unique_ptr<OrderedPackets>> OrderedPackets::open(const std::string& journal, const std::string& order,
                                                             uint64_t size) {
  BALEEN_TRY(auto journal_file, MappedFile::open(journal));
  BALEEN_TRY(auto order_file, MappedFile::open(order));
  auto out = of(journal_file->bytes(), order_file->bytes(), size);
  if (!out) return std::move(out).error().in(order);
  (*out)->journal_ = std::move(journal_file);
  (*out)->order_ = std::move(order_file);
  return out;
}

Result<std::unique_ptr<OrderedPackets>> OrderedPackets::of(Bytes journal, Bytes order, uint64_t size) {
  std::unique_ptr<OrderedPackets> out(new OrderedPackets);
  out->size_ = size;
  BALEEN_TRY_DO(out->take_apart(journal, order));
  return out;
}

Result<> OrderedPackets::take_apart(Bytes journal, Bytes order) {
  const Error damaged{Code::kInvalid, "the order of packets is damaged, or not of this journal"};
  ByteReader r(order);
  if (r.text(PacketsOrder::kMagic.size()) != PacketsOrder::kMagic) return damaged;
  uint64_t begin = 0, last_end = 0;
  while (r.ok() && r.remaining() > 0) {
    const uint64_t kind = take_number(r), size = kind >> 1;
    const uint8_t* bytes = nullptr;
    if ((kind & 1) != 0) {
      const uint64_t distance = take_number(r), at = last_end + (distance >> 1 ^ (0 - (distance & 1)));
      if (at > journal.size() || size > journal.size() - at) return damaged;
      bytes = journal.data() + at;
      last_end = at + size;
    } else {
      if (size > r.remaining()) return damaged;
      bytes = r.bytes(static_cast<size_t>(size)).data();
    }
    if (!r.ok() || size == 0 || size > size_ - begin) return damaged;
    pieces_.push_back({begin, bytes});
    begin += size;
  }
  if (!r.ok() || begin != size_) return damaged;
  pieces_.push_back({begin, nullptr});
  return {};
}

Result<size_t> OrderedPackets::read(uint64_t offset, std::span<uint8_t> out) const {
  if (offset >= size_) return Error{Code::kIo, "nothing lies behind the end of a packets file"};
  const uint64_t end = std::min<uint64_t>(size_, offset + out.size());
  auto piece = std::upper_bound(pieces_.begin(), pieces_.end(), offset,
                                [](uint64_t at, const Piece& p) { return at < p.begin; }) -
               1;
  uint8_t* to = out.data();
  for (uint64_t at = offset; at < end; ++piece) {
    if (pieces_.end() - piece > static_cast<ptrdiff_t>(kPrefetch) + 1)
      prefetch(piece[kPrefetch].bytes, piece[kPrefetch + 1].begin - piece[kPrefetch].begin);
    const uint64_t n = std::min(end, piece[1].begin) - at;
    to = std::copy_n(piece->bytes + (at - piece->begin), n, to);
    at += n;
  }
  return static_cast<size_t>(end - offset);
}

}  // namespace baleen::record
