#include <fmt/format.h>

#include <algorithm>

#include "codec/pcap/reader.h"

// The blocks of pcapng (draft-ietf-opsawg-pcapng; "ng" with a section number below).
//
// A block is only looked at when the window holds all of it, so no state is kept between windows but the interfaces of
// the section. What the lengths of a block contradict is corruption and ends the reading, because nothing after it can
// be trusted; options that run past their block are counted and ignored, because the block's own end still stands.

namespace baleen::codec::pcap {

namespace {

constexpr size_t kSmallestBlock = 12;    // type, length, length again
constexpr size_t kSmallestSection = 28;  // up to the section length
constexpr int64_t kSafeUnits = int64_t{1} << 62;

uint32_t padded(uint32_t length) { return (length + 3) & ~uint32_t{3}; }

}  // namespace

void Reader::read_pcapng(Bytes window, std::span<PacketRecord> out, Step& step) {
  while (step.packets < out.size()) {
    const Bytes rest = window.subspan(step.consumed);
    const std::optional<uint32_t> length = block_length(rest, step);
    if (!length) return;
    const uint32_t type = u32(rest.data());
    const Bytes body = rest.subspan(8, *length - kSmallestBlock);
    bool ok = true;
    step.kind = Kind::kFull;
    PacketRecord& record = out[step.packets];
    switch (type) {
      case kEnhancedPacket: ok = read_enhanced(body, record, step); break;
      case kSimplePacket: ok = read_simple(body, record, step); break;
      case kObsoletePacket: ok = read_obsolete(body, record, step); break;
      case kSectionHeader: ok = read_section(body, step); break;
      case kInterfaceDescription: ok = read_interface(body, step); break;
      case kInterfaceStatistics: ok = read_statistics(body, step); break;
      case kDecryptionSecrets: ok = read_secrets(body, step); break;
      case kNameResolution:
        step.kind = Kind::kNames;
        step.body = body;
        break;
      default: ++counters_.skipped_blocks; break;
    }
    if (!ok) return;
    if (type == kEnhancedPacket || type == kSimplePacket || type == kObsoletePacket) {
      record.offset = offset_;
      last_time_ = record.time;
      ++step.packets;
    }
    step.consumed += *length;
    offset_ += *length;
    if (step.kind != Kind::kFull) return;
  }
}

/// The length of the block at the front when all of it is there and its two lengths agree (ng 3.1).
std::optional<uint32_t> Reader::block_length(Bytes rest, Step& step) {
  const auto need = [&](size_t bytes) {
    step.kind = Kind::kNeed;
    step.need = bytes;
    return std::nullopt;
  };
  if (rest.size() < kSmallestBlock) return need(kSmallestBlock);
  // A section header says its own byte order, after its length (ng 4.1); its type reads the same in both.
  if (load_le32(rest.data()) == kSectionHeader) {
    const uint32_t magic = load_le32(&rest[8]);
    if (magic != kByteOrderMagic && magic != __builtin_bswap32(kByteOrderMagic)) {
      fail(step, offset_, fmt::format("a section header with the byte-order magic {:#010x}", magic));
      return std::nullopt;
    }
    swapped_ = magic != kByteOrderMagic;
  }
  const uint32_t length = u32(&rest[4]);
  if (length < kSmallestBlock || length % 4 != 0) {
    fail(step, offset_, fmt::format("a block of type {:#x} says it is {} bytes long", u32(rest.data()), length));
    return std::nullopt;
  }
  if (length > limits_.block_bytes) {
    fail(step, offset_,
         fmt::format("a block of type {:#x} says it is {} bytes long (the limit is {})", u32(rest.data()), length,
                     limits_.block_bytes));
    return std::nullopt;
  }
  if (rest.size() < length) return need(length);
  if (const uint32_t again = u32(&rest[length - 4]); again != length) {
    fail(step, offset_,
         fmt::format("a block of type {:#x} says it is {} bytes long in front and {} at its end", u32(rest.data()),
                     length, again));
    return std::nullopt;
  }
  return length;
}

/// ng 4.1. Interfaces of earlier sections keep their indices.
bool Reader::read_section(Bytes body, Step& step) {
  if (body.size() + kSmallestBlock < kSmallestSection) return fail(step, offset_, "a section header that is too short");
  const uint16_t major = u16(&body[4]), minor = u16(&body[6]);
  // 1.2 is written by some and reads the same (ng 4.1)
  if (major != 1 || (minor != 0 && minor != 2))
    return fail(step, offset_, fmt::format("pcapng version {}.{} is not known (1.0 is)", major, minor));
  ++counters_.sections;
  first_interface_ = static_cast<uint32_t>(interfaces_.size());
  section_ = {};
  Bytes options = body.subspan(16);
  Option option;
  while (next_option(options, option)) {
    const std::string text(as_text(option.value.first(std::min<size_t>(option.value.size(), limits_.name_bytes))));
    switch (option.code) {
      case 1: section_.comment = text; break;
      case 2: section_.hardware = text; break;
      case 3: section_.os = text; break;
      case 4: section_.application = text; break;
      default: break;
    }
  }
  return true;
}

/// ng 4.2.
bool Reader::read_interface(Bytes body, Step& step) {
  if (body.size() < 8) return fail(step, offset_, "an interface description that is too short");
  if (interfaces_.size() >= limits_.interfaces)
    return fail(step, offset_, fmt::format("more than {} interfaces", limits_.interfaces));
  Interface interface;
  interface.link = u16(&body[0]);
  interface.snap_length = u32(&body[4]);
  Bytes options = body.subspan(8);
  Option option;
  while (next_option(options, option)) {
    const Bytes value = option.value;
    const std::string_view text = as_text(value).substr(0, limits_.name_bytes);
    switch (option.code) {
      case 2: interface.name = text; break;
      case 3: interface.description = text; break;
      case 9:
        if (value.empty()) break;
        interface.resolution.power_of_two = (value[0] & 0x80) != 0;
        interface.resolution.exponent = value[0] & 0x7f;
        break;
      case 11:
        if (text.size() > 1 && text[0] == 0) interface.filter = text.substr(1);
        break;
      case 13:
        // Written in bytes by most and in bits by some, as the specification once said: 16 and 32 can only be bits.
        if (!value.empty()) interface.fcs_bytes = value[0] >= 16 ? value[0] / 8 : value[0];
        break;
      case 14:
        if (value.size() == 8) interface.resolution.offset_seconds = static_cast<int64_t>(u64(value.data()));
        break;
      default: break;
    }
  }
  add_clock(interface);
  interfaces_.push_back(std::move(interface));
  return true;
}

/// ng 4.3.
bool Reader::read_enhanced(Bytes body, PacketRecord& out, Step& step) {
  if (body.size() < 20) return fail(step, offset_, "an enhanced packet block that is too short");
  ByteReader in(body);
  in.skip(20);
  const uint64_t units = uint64_t{u32(&body[4])} << 32 | u32(&body[8]);
  return read_data(in, u32(&body[0]), units, u32(&body[12]), u32(&body[16]), out, step);
}

/// ng appendix A.
bool Reader::read_obsolete(Bytes body, PacketRecord& out, Step& step) {
  if (body.size() < 20) return fail(step, offset_, "a packet block that is too short");
  ByteReader in(body);
  in.skip(20);
  const uint64_t units = uint64_t{u32(&body[4])} << 32 | u32(&body[8]);
  return read_data(in, u16(&body[0]), units, u32(&body[12]), u32(&body[16]), out, step);
}

/// ng 4.4: the first interface, no time, no length of its own but the block's.
bool Reader::read_simple(Bytes body, PacketRecord& out, Step& step) {
  if (body.size() < 4) return fail(step, offset_, "a simple packet block that is too short");
  if (first_interface_ >= interfaces_.size()) return fail(step, offset_, "a packet before any interface description");
  ByteReader in(body);
  in.skip(4);
  const uint32_t on_wire = u32(&body[0]);
  const uint32_t snap = clocks_[first_interface_].snap_length;
  uint32_t captured = std::min(on_wire, static_cast<uint32_t>(body.size() - 4));
  if (snap != 0) captured = std::min(captured, snap);
  ++counters_.untimed_packets;
  if (!read_data(in, 0, 0, captured, on_wire, out, step)) return false;
  out.time = last_time_;
  return true;
}

/// What the three kinds of packets share: data, padding, options.
bool Reader::read_data(ByteReader& in, uint32_t interface, uint64_t units, uint32_t captured, uint32_t on_wire,
                       PacketRecord& out, Step& step) {
  if (interface >= interfaces_.size() - first_interface_)
    return fail(step, offset_,
                fmt::format("a packet of interface {}, of which the section has {}", interface,
                            interfaces_.size() - first_interface_));
  if (captured > limits_.packet_bytes)
    return fail(step, offset_,
                fmt::format("a packet of {} bytes cannot be (the limit is {})", captured, limits_.packet_bytes));
  if (captured > in.remaining())
    return fail(step, offset_, fmt::format("a packet of {} bytes in a block too short for it", captured));
  const Clock& clock = clocks_[first_interface_ + interface];
  out.bytes = in.bytes(captured);
  // one multiplication for the resolutions that all but a few files have
  int64_t ns;
  if (clock.scale == 0 || __builtin_mul_overflow(units, clock.scale, &ns) || ns > kSafeUnits)
    ns = clock.resolution.to_ns(units);
  out.time = timestamp_from_ns(ns);
  out.wire_length = on_wire;
  out.interface = first_interface_ + interface;
  out.link = clock.link;
  out.direction = 0;
  out.comment = {};
  if (clock.fcs_bytes != 0 && on_wire >= clock.fcs_bytes) {
    out.wire_length = on_wire - clock.fcs_bytes;
    out.bytes = out.bytes.first(std::min<size_t>(captured, out.wire_length));
  }
  const uint32_t pad = padded(captured) - captured;
  if (in.remaining() > pad) {
    in.skip(pad);
    read_packet_options(in.rest(), out);
  }
  return true;
}

void Reader::read_packet_options(Bytes options, PacketRecord& out) {
  Option option;
  while (next_option(options, option)) {
    if (option.code == 1 && out.comment.empty()) out.comment = as_text(option.value);
    if (option.code == 2 && option.value.size() == 4) out.direction = u32(option.value.data()) & 3;
  }
}

/// ng 4.6.
bool Reader::read_statistics(Bytes body, Step& step) {
  if (body.size() < 12) return fail(step, offset_, "an interface statistics block that is too short");
  const uint32_t interface = u32(&body[0]);
  if (interface >= interfaces_.size() - first_interface_)
    return fail(step, offset_, fmt::format("statistics of interface {}, which the section does not have", interface));
  const uint64_t units = uint64_t{u32(&body[4])} << 32 | u32(&body[8]);
  InterfaceStatistics& statistics = interfaces_[first_interface_ + interface].statistics;
  statistics = {.time = timestamp_from_ns(clocks_[first_interface_ + interface].resolution.to_ns(units))};
  Bytes options = body.subspan(12);
  Option option;
  while (next_option(options, option)) {
    if (option.value.size() != 8) continue;
    const uint64_t value = u64(option.value.data());
    switch (option.code) {
      case 4: statistics.received = value; break;
      case 5: statistics.dropped = value; break;
      case 6: statistics.accepted = value; break;
      case 7: statistics.os_dropped = value; break;
      case 8: statistics.delivered = value; break;
      default: break;
    }
  }
  return true;
}

/// ng 4.7.
bool Reader::read_secrets(Bytes body, Step& step) {
  if (body.size() < 8) return fail(step, offset_, "a decryption secrets block that is too short");
  const uint32_t length = u32(&body[4]);
  if (length > body.size() - 8)
    return fail(step, offset_, fmt::format("secrets of {} bytes in a block too short for them", length));
  step.kind = Kind::kSecrets;
  step.type = u32(&body[0]);
  step.body = body.subspan(8, length);
  return true;
}

/// Takes the next option off the front (ng 3.5); false at the end, also when the rest is no option.
bool Reader::next_option(Bytes& options, Option& option) {
  if (options.empty()) return false;
  if (options.size() < 4) {
    ++counters_.malformed_options;
    return false;
  }
  option.code = u16(&options[0]);
  const uint16_t length = u16(&options[2]);
  if (option.code == 0) return false;
  if (length > options.size() - 4) {
    ++counters_.malformed_options;
    return false;
  }
  option.value = options.subspan(4, length);
  options = options.subspan(std::min<size_t>(4 + padded(length), options.size()));
  return true;
}

/// ng 4.5. Records and names that run past their bounds end the list.
void Reader::read_names(Bytes body, const std::function<void(const Name&)>& each) const {
  while (body.size() >= 4) {
    const uint16_t type = u16(&body[0]);
    const uint16_t length = u16(&body[2]);
    if (type == 0 || length > body.size() - 4) return;
    const Bytes value = body.subspan(4, length);
    body = body.subspan(std::min<size_t>(4 + padded(length), body.size()));
    const size_t address = type == 1 ? 4 : type == 2 ? 16 : 0;
    if (address == 0 || value.size() < address) continue;
    std::string_view names = as_text(value.subspan(address));
    while (!names.empty()) {  // several names may follow one address, each ended by a zero
      const size_t end = std::min(names.find('\0'), names.size());
      if (end > 0) each({value.first(address), names.substr(0, end)});
      names.remove_prefix(std::min(end + 1, names.size()));
    }
  }
}

}  // namespace baleen::codec::pcap
