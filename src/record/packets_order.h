#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "io/byte_source.h"
#include "record/block_files.h"
#include "record/packets_journal.h"

namespace baleen::record {

/// A packets file as a row of pieces: ranges of its journal, and what stands between them. The journal has the packets
/// as they came, the file has them stream after stream; so each is written to the disk once, and the file is made while
/// it is uploaded.
///
/// `packets.order` is kMagic and the pieces. A piece is a number of the LEB128 kind, then: even, half of it are bytes
/// that follow; odd, half of it are bytes of the journal, and a second number, zigzag, says how far behind the end of
/// the range before they begin.
class PacketsOrder {
 public:
  static constexpr std::string_view kMagic = "BLNORDR1";

  void add(std::string_view bytes);
  /// A range of the journal; what is behind the first one ends a piece, so that place.crc32c is that of all of it.
  void add(const PacketPlace& place);
  /// The file so far.
  uint64_t size() const { return size_; }
  uint32_t crc32c() const { return crc_; }
  /// What `packets.order` has for it.
  const std::string& text() const { return text_; }

 private:
  void number(uint64_t value);

  std::string text_{kMagic};
  uint64_t size_ = 0;
  uint64_t last_end_ = 0;  // of the last range, in the journal
  uint32_t crc_ = 0;
};

/// The packets file of a finished block's folder, whichever way it has it. `size` is what its record says.
Result<std::unique_ptr<io::ByteSource>> open_packets(const std::string& folder, uint64_t size);

/// The packets file that a journal and its order make. Any thread.
class OrderedPackets final : public io::ByteSource {
 public:
  /// `size` is what the block's record says. kInvalid when the order is not of this journal, or not of that size.
  static Result<std::unique_ptr<OrderedPackets>> open(const std::string& journal, const std::string& order,
                                                      uint64_t size);
  /// From memory, which it borrows.
  static Result<std::unique_ptr<OrderedPackets>> of(Bytes journal, Bytes order, uint64_t size);

  uint64_t size() const override { return size_; }
  Result<size_t> read(uint64_t offset, std::span<uint8_t> out) const override;

 private:
  struct Piece {
    uint64_t begin;  // in the file; it ends where the next one begins
    const uint8_t* bytes;
  };
  Result<> take_apart(Bytes journal, Bytes order);

  std::unique_ptr<MappedFile> journal_, order_;
  std::vector<Piece> pieces_;  // and one more that ends the last
  uint64_t size_ = 0;
};

}  // namespace baleen::record
