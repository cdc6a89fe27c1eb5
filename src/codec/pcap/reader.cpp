#include "codec/pcap/reader.h"

#include <fmt/format.h>

#include <algorithm>

// The part that both formats share, and classic pcap. The blocks of pcapng are in pcapng_reader.cpp.

namespace baleen::codec::pcap {

namespace {

constexpr size_t kPcapHeader = 24;

/// What else a file may be that people hand to a capture reader, by its first four bytes (open() waits for no more).
std::string_view known_format(Bytes window) {
  const std::string_view text = as_text(window);
  if (text.starts_with("\x1f\x8b")) return "it is compressed with gzip";
  if (text.starts_with("\x28\xb5\x2f\xfd")) return "it is compressed with zstd";
  if (text.starts_with("\xfd"
                       "7zX"))
    return "it is compressed with xz; decompress it first (xz -d)";
  if (text.starts_with("BZh")) return "it is compressed with bzip2; decompress it first (bzip2 -d)";
  if (text.starts_with("\x04\x22\x4d\x18")) return "it is compressed with lz4; decompress it first (lz4 -d)";
  if (text.starts_with("PK\x03\x04")) return "it is a zip archive; unpack it first";
  if (text.starts_with("snoo")) return "it is a snoop capture; convert it first (editcap -F pcapng)";
  return {};
}

}  // namespace

Reader::Step Reader::read(Bytes window, std::span<PacketRecord> out) {
  Step step;
  if (error_) {
    step.kind = Kind::kFailed;
    return step;
  }
  if (format_ == Format::kUnknown && !open(window, step)) return step;
  if (format_ == Format::kPcap) {
    read_pcap(window, out, step);
  } else {
    read_pcapng(window, out, step);
  }
  counters_.packets += step.packets;
  return step;
}

Result<> Reader::finish(Bytes rest) {
  if (error_) return *error_;
  if (format_ == Format::kUnknown || (format_ == Format::kPcapng && counters_.sections == 0)) {
    error_ = Error{Code::kInvalid, rest.empty() ? "the input is empty" : "the input ends inside the file header"};
    return *error_;
  }
  if (!rest.empty()) ++counters_.cut_packets;
  return {};
}

/// Finds out which format it is. False when it cannot go on: too few bytes, or nothing we know.
bool Reader::open(Bytes window, Step& step) {
  if (window.size() < 4) {
    step.need = 4;
    return false;
  }
  const uint32_t little = load_le32(window.data());
  if (little == kSectionHeader) {
    format_ = Format::kPcapng;
    return true;
  }
  for (const bool big : {false, true}) {
    const uint32_t magic = big ? load_be32(window.data()) : little;
    if (magic == kMagicMicroseconds || magic == kMagicNanoseconds || magic == kMagicModified)
      return open_pcap(window, step, big, magic);
  }
  const std::string_view other = known_format(window);
  fail(step, 0, "");
  error_->message = fmt::format("neither pcap nor pcapng{}{}", other.empty() ? "" : ": ", other);
  return false;
}

/// The file header (draft-ietf-opsawg-pcap 4).
bool Reader::open_pcap(Bytes window, Step& step, bool swapped, uint32_t magic) {
  if (window.size() < kPcapHeader) {
    step.need = kPcapHeader;
    return false;
  }
  swapped_ = swapped;
  const uint16_t major = u16(&window[4]), minor = u16(&window[6]);
  // 543.0 was written by one old version of a commercial tool, with swapped lengths
  const bool odd = major == 543 && minor == 0;
  if (major != 2 && !odd) return fail(step, 4, fmt::format("pcap version {}.{} is not known (2.4 is)", major, minor));
  nanoseconds_ = magic == kMagicNanoseconds;
  modified_ = magic == kMagicModified;
  lengths_swapped_ = odd || minor < 3;
  lengths_guessed_ = minor == 3;
  Interface interface;
  const uint32_t link = u32(&window[20]);
  interface.link = static_cast<uint16_t>(link & 0xffff);
  // bit 26: the upper four bits are the length of the frame check sequence in 16-bit words
  if (link & 0x04000000) interface.fcs_bytes = static_cast<uint8_t>((link >> 28) * 2);
  interface.snap_length = u32(&window[16]);
  interface.resolution.exponent = nanoseconds_ ? 9 : 6;
  interfaces_.push_back(interface);
  add_clock(interface);
  format_ = Format::kPcap;
  step.consumed = kPcapHeader;
  offset_ = kPcapHeader;
  return true;
}

/// Packet records (draft-ietf-opsawg-pcap 5). Where the next one lies is known only when the length of this one is:
/// what leads there stays in registers.
void Reader::read_pcap(Bytes window, std::span<PacketRecord> out, Step& step) {
  const size_t header = modified_ ? 24 : 16;
  const uint32_t fcs = clocks_[0].fcs_bytes;
  const uint16_t link = clocks_[0].link;
  const int64_t scale = nanoseconds_ ? 1 : 1000;
  const uint64_t first = offset_ - step.consumed;  // of the window
  size_t at = step.consumed, packets = step.packets;
  step.kind = Kind::kFull;
  while (packets < out.size()) {
    const uint8_t* const head = window.data() + at;
    const size_t left = window.size() - at;
    if (left < header) {
      step.kind = Kind::kNeed;
      step.need = header;
      break;
    }
    uint32_t captured = u32(head + 8), on_wire = u32(head + 12);
    if (lengths_swapped_ || (lengths_guessed_ && captured > on_wire)) std::swap(captured, on_wire);
    if (captured > limits_.packet_bytes) {
      fail(step, first + at,
           fmt::format("a packet of {} bytes cannot be (the limit is {})", captured, limits_.packet_bytes));
      break;
    }
    if (left - header < captured) {
      step.kind = Kind::kNeed;
      step.need = header + captured;
      break;
    }
    PacketRecord& record = out[packets++];
    record.time = timestamp_from_ns(int64_t{u32(head)} * 1'000'000'000 + int64_t{u32(head + 4)} * scale);
    record.bytes = {head + header, captured};
    record.wire_length = on_wire;
    record.interface = 0;
    record.link = link;
    record.direction = 0;
    record.offset = first + at;
    record.comment = {};
    if (fcs != 0 && on_wire >= fcs) {
      record.wire_length = on_wire - fcs;
      record.bytes = record.bytes.first(std::min<size_t>(captured, record.wire_length));
    }
    at += header + captured;
  }
  step.packets = packets;
  step.consumed = at;
  offset_ = first + at;
}

bool Reader::fail(Step& step, uint64_t at, std::string_view what) {
  error_ = Error{Code::kInvalid, fmt::format("corrupt capture at offset {}: {}", at, what)};
  step.kind = Kind::kFailed;
  return false;
}

void Reader::add_clock(const Interface& interface) {
  Clock clock{interface.resolution, 0, interface.link, interface.fcs_bytes, interface.snap_length};
  const TimeResolution& r = interface.resolution;
  if (!r.power_of_two && r.offset_seconds == 0 && r.exponent <= 9) {
    clock.scale = 1;
    for (int i = r.exponent; i < 9; ++i) clock.scale *= 10;
  }
  clocks_.push_back(clock);
}

}  // namespace baleen::codec::pcap
