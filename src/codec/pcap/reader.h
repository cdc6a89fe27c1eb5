#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "codec/pcap/format.h"

namespace baleen::codec::pcap {

/// What a hostile or broken file may make us hold.
struct Limits {
  uint32_t packet_bytes = 1 << 20;  // a longer packet is corruption
  uint32_t block_bytes = 16 << 20;  // a longer pcapng block is corruption
  uint32_t interfaces = 1 << 16;    // over all sections
  uint32_t name_bytes = 4096;       // of an interface's name, description and filter; the rest is cut off
};

/// What was met besides packets. Nothing here stops the reading.
struct ReaderCounters {
  uint64_t packets = 0;
  uint64_t cut_packets = 0;        // the input ended inside a record or block
  uint64_t skipped_blocks = 0;     // custom and unknown blocks
  uint64_t malformed_options = 0;  // blocks whose options ran past their end
  uint64_t untimed_packets = 0;    // simple packet blocks have no time: they get that of the packet before
  uint64_t sections = 0;
  bool operator==(const ReaderCounters&) const = default;
};

/// Reads pcap and pcapng, whichever the first bytes say, from a window of bytes that slides over the input.
///
/// It holds no bytes: the caller shows a window that starts where the last step ended and gets views into it, so the
/// input may be a file, a pipe, a decompressor or a file still being written. Where the windows are cut makes no
/// difference to what comes out. Memory is bounded by `Limits`; work is one pass.
///
///   for (;;) {
///     auto step = reader.read(window, records);
///     use(std::span(records).first(step.packets));     // views into window
///     window = window.subspan(step.consumed);
///     if (step.kind == Reader::Kind::kNeed) { if (!fetch_more(window, step.need)) { reader.finish(window); break; } }
///     if (step.kind == Reader::Kind::kFailed) return reader.error();
///   }
class Reader {
 public:
  enum class Kind {
    kFull,     // `out` is full; call again
    kNeed,     // the window has to hold `need` bytes from its new front on
    kSecrets,  // a Decryption Secrets Block lies after the packets of this step: `type` and `body`
    kNames,    // a Name Resolution Block likewise: `body` for read_names()
    kFailed,   // corrupt: see error(). The packets of this step come before the damage; every later call says kFailed
  };
  struct Step {
    Kind kind = Kind::kNeed;
    size_t packets = 0;   // how many of `out` were filled
    size_t consumed = 0;  // bytes at the front of the window that are done with
    size_t need = 0;
    uint32_t type = 0;
    Bytes body;
  };

  explicit Reader(Limits limits = {}) : limits_(limits) {}

  /// Reads on at the front of `window`. Records are views into it. REQUIRES: room in `out`.
  Step read(Bytes window, std::span<PacketRecord> out);

  /// The input is over and `rest` was left: counts a cut packet, or fails when not even a file header was there.
  Result<> finish(Bytes rest);

  /// Grows as sections and interfaces are met; PacketRecord::interface is an index. Existing indices stay.
  const std::vector<Interface>& interfaces() const { return interfaces_; }
  const ReaderCounters& counters() const { return counters_; }
  /// The latest section's header (pcapng).
  const Section& section() const { return section_; }
  bool is_pcapng() const { return format_ == Format::kPcapng; }
  /// Bytes of input consumed so far.
  uint64_t offset() const { return offset_; }
  /// REQUIRES: a step was kFailed. Says what is wrong, and at which offset.
  const Error& error() const { return *error_; }
  bool failed() const { return error_.has_value(); }

  /// Calls `each` for every address and name in the body of a kNames step; the views live as long as `body`.
  void read_names(Bytes body, const std::function<void(const Name&)>& each) const;

 private:
  enum class Format { kUnknown, kPcap, kPcapng };
  /// What decoding packets needs of an interface, apart from its strings.
  struct Clock {
    TimeResolution resolution;
    uint64_t scale = 0;  // nanoseconds per unit when there is no offset; 0: ask the resolution
    uint16_t link = 0;
    uint8_t fcs_bytes = 0;
    uint32_t snap_length = 0;
  };
  struct Option {
    uint16_t code = 0;
    Bytes value;
  };

  bool open(Bytes window, Step& step);
  bool open_pcap(Bytes window, Step& step, bool swapped, uint32_t magic);
  void read_pcap(Bytes window, std::span<PacketRecord> out, Step& step);
  void read_pcapng(Bytes window, std::span<PacketRecord> out, Step& step);
  std::optional<uint32_t> block_length(Bytes window, Step& step);
  bool read_section(Bytes body, Step& step);
  bool read_interface(Bytes body, Step& step);
  bool read_enhanced(Bytes body, PacketRecord& out, Step& step);
  bool read_obsolete(Bytes body, PacketRecord& out, Step& step);
  bool read_simple(Bytes body, PacketRecord& out, Step& step);
  bool read_data(class ByteReader& in, uint32_t interface, uint64_t units, uint32_t captured, uint32_t on_wire,
                 PacketRecord& out, Step& step);
  void read_packet_options(Bytes options, PacketRecord& out);
  bool read_statistics(Bytes body, Step& step);
  bool read_secrets(Bytes body, Step& step);
  bool next_option(Bytes& options, Option& option);
  bool fail(Step& step, uint64_t at, std::string_view what);
  void add_clock(const Interface& interface);

  uint16_t u16(const uint8_t* p) const { return swapped_ ? load_be16(p) : load_le16(p); }
  uint32_t u32(const uint8_t* p) const { return swapped_ ? load_be32(p) : load_le32(p); }
  uint64_t u64(const uint8_t* p) const { return swapped_ ? load_be64(p) : load_le64(p); }

  Limits limits_;
  Format format_ = Format::kUnknown;
  bool swapped_ = false;          // the file is big-endian
  bool nanoseconds_ = false;      // pcap: fractions are nanoseconds
  bool modified_ = false;         // pcap: 24-byte record headers
  bool lengths_swapped_ = false;  // pcap before 2.3 wrote the two lengths the other way round
  bool lengths_guessed_ = false;  // pcap 2.3 did both
  uint32_t first_interface_ = 0;  // pcapng: of the current section
  uint64_t offset_ = 0;
  Timestamp last_time_{};
  Section section_;
  std::vector<Interface> interfaces_;
  std::vector<Clock> clocks_;  // parallel to interfaces_
  ReaderCounters counters_;
  std::optional<Error> error_;
};

}  // namespace baleen::codec::pcap
