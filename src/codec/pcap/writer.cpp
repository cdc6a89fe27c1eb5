#include "codec/pcap/writer.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace baleen::codec::pcap {

namespace {

constexpr size_t kLongestOption = 0xffff;      // ng 3.5: a 16-bit length
constexpr size_t kLongestNameBlock = 1 << 20;  // names are spread over blocks of about this size

template <class T>
void put(std::string& out, T value) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the writers copy integers as they lie in memory");
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

size_t padding(size_t length) { return -length & 3; }

void put_padded(std::string& out, std::string_view bytes) {
  out.append(bytes);
  out.append(padding(bytes.size()), '\0');
}

/// The front of `text` that fits into an option, not cut inside a UTF-8 sequence.
std::string_view clipped(std::string_view text) {
  if (text.size() <= kLongestOption) return text;
  size_t length = kLongestOption;
  while (length > 0 && (static_cast<uint8_t>(text[length]) & 0xc0) == 0x80) --length;
  return text.substr(0, length);
}

void put_option(std::string& out, uint16_t code, std::string_view value) {
  put(out, code);
  put(out, static_cast<uint16_t>(value.size()));
  put_padded(out, value);
}

void put_text_option(std::string& out, uint16_t code, std::string_view text) {
  if (!text.empty()) put_option(out, code, clipped(text));
}

void put_counter_option(std::string& out, uint16_t code, uint64_t value) {
  if (value != kNotCounted) put_option(out, code, {reinterpret_cast<const char*>(&value), sizeof value});
}

void put_end_of_options(std::string& out) { put(out, uint32_t{0}); }

/// Times before 1970 cannot be written: both formats count without a sign.
uint64_t unsigned_ns(Timestamp time) { return static_cast<uint64_t>(std::max<int64_t>(to_ns(time), 0)); }

}  // namespace

PcapWriter::PcapWriter(std::string& out, uint16_t link, uint32_t snap_length) : out_(&out) {
  put(out, kMagicNanoseconds);
  put(out, uint16_t{2});
  put(out, uint16_t{4});
  put(out, uint64_t{0});  // time zone and accuracy: both reserved, both zero
  put(out, snap_length);
  put(out, uint32_t{link});
  offset_ = 24;
}

uint64_t PcapWriter::packet(const PacketRecord& packet) {
  const uint64_t at = offset_;
  const uint64_t ns = unsigned_ns(packet.time);
  const auto length = static_cast<uint32_t>(packet.bytes.size());
  const uint32_t header[4] = {static_cast<uint32_t>(ns / 1'000'000'000), static_cast<uint32_t>(ns % 1'000'000'000),
                              length, std::max(length, packet.wire_length)};
  out_->append(reinterpret_cast<const char*>(header), sizeof header);
  out_->append(as_text(packet.bytes));
  offset_ += pcap_record_size(length);
  return at;
}

/// Appends the type and a length to be filled in by end(). Returns where the block starts in the string.
size_t PcapngWriter::begin(uint32_t type, size_t size_hint) {
  const size_t start = out_->size();
  if (out_->capacity() - start < size_hint) out_->reserve(std::max(start + size_hint, out_->capacity() * 2));
  put(*out_, type);
  put(*out_, uint32_t{0});
  return start;
}

void PcapngWriter::end(size_t block_start) {
  const auto length = static_cast<uint32_t>(out_->size() - block_start + 4);
  put(*out_, length);
  std::memcpy(out_->data() + block_start + 4, &length, sizeof length);
  offset_ += length;
}

uint64_t PcapngWriter::section(const Section& section) {
  const uint64_t at = offset_;
  const size_t start = begin(kSectionHeader, 64);
  put(*out_, kByteOrderMagic);
  put(*out_, uint16_t{1});
  put(*out_, uint16_t{0});
  put(*out_, ~uint64_t{0});  // section length: not specified
  put_text_option(*out_, 1, section.comment);
  put_text_option(*out_, 2, section.hardware);
  put_text_option(*out_, 3, section.os);
  put_text_option(*out_, 4, section.application);
  put_end_of_options(*out_);
  end(start);
  interfaces_ = 0;
  return at;
}

uint32_t PcapngWriter::interface(const Interface& interface) {
  const size_t start = begin(kInterfaceDescription, 64);
  put(*out_, interface.link);
  put(*out_, uint16_t{0});
  put(*out_, interface.snap_length);
  put_text_option(*out_, 2, interface.name);
  put_text_option(*out_, 3, interface.description);
  put_option(*out_, 9, "\x09");  // if_tsresol: 10^-9 s
  if (!interface.filter.empty()) {
    const auto text = clipped(interface.filter).substr(0, kLongestOption - 1);
    put_option(*out_, 11, std::string(1, '\0').append(text));  // if_filter: kind 0, a filter string
  }
  put_end_of_options(*out_);
  end(start);
  return interfaces_++;
}

uint64_t PcapngWriter::packet(const PacketRecord& packet) {
  BALEEN_CHECK(packet.interface < interfaces_);
  const uint64_t at = offset_;
  const auto length = static_cast<uint32_t>(packet.bytes.size());
  const size_t start = begin(kEnhancedPacket, pcapng_packet_size(length) + 12 + packet.comment.size() + 8);
  const uint64_t ns = unsigned_ns(packet.time);
  const uint32_t header[5] = {packet.interface, static_cast<uint32_t>(ns >> 32), static_cast<uint32_t>(ns), length,
                              std::max(length, packet.wire_length)};
  out_->append(reinterpret_cast<const char*>(header), sizeof header);
  put_padded(*out_, as_text(packet.bytes));
  if (packet.direction != 0 || !packet.comment.empty()) {
    put_text_option(*out_, 1, packet.comment);
    if (packet.direction != 0) {
      const uint32_t flags = packet.direction & 3;
      put_option(*out_, 2, {reinterpret_cast<const char*>(&flags), sizeof flags});
    }
    put_end_of_options(*out_);
  }
  end(start);
  return at;
}

uint64_t PcapngWriter::names(std::span<const Name> names) {
  const uint64_t at = offset_;
  size_t i = 0;
  while (i < names.size()) {
    const size_t start = begin(kNameResolution, 64);
    for (; i < names.size() && out_->size() - start < kLongestNameBlock; ++i) {
      const Bytes address = names[i].address;
      if (address.size() != 4 && address.size() != 16) continue;
      const std::string_view name = names[i].name.substr(0, kLongestOption - 17);
      const size_t length = address.size() + name.size() + 1;
      put(*out_, static_cast<uint16_t>(address.size() == 4 ? 1 : 2));
      put(*out_, static_cast<uint16_t>(length));
      out_->append(as_text(address));
      out_->append(name);
      out_->append(1 + padding(length), '\0');
    }
    put(*out_, uint32_t{0});  // nrb_record_end
    end(start);
  }
  return at;
}

uint64_t PcapngWriter::statistics(uint32_t interface, const InterfaceStatistics& statistics) {
  BALEEN_CHECK(interface < interfaces_);
  const uint64_t at = offset_;
  const size_t start = begin(kInterfaceStatistics, 128);
  const uint64_t ns = unsigned_ns(statistics.time);
  put(*out_, interface);
  put(*out_, static_cast<uint32_t>(ns >> 32));
  put(*out_, static_cast<uint32_t>(ns));
  put_counter_option(*out_, 4, statistics.received);
  put_counter_option(*out_, 5, statistics.dropped);
  put_counter_option(*out_, 6, statistics.accepted);
  put_counter_option(*out_, 7, statistics.os_dropped);
  put_counter_option(*out_, 8, statistics.delivered);
  put_end_of_options(*out_);
  end(start);
  return at;
}

uint64_t PcapngWriter::secrets(Bytes data, uint32_t type) {
  const uint64_t at = offset_;
  const size_t start = begin(kDecryptionSecrets, 24 + data.size());
  put(*out_, type);
  put(*out_, static_cast<uint32_t>(data.size()));
  put_padded(*out_, as_text(data));
  end(start);
  return at;
}

uint64_t PcapngWriter::custom(uint32_t enterprise, Bytes data, bool copyable) {
  const uint64_t at = offset_;
  const size_t start = begin(copyable ? kCustom : kCustomNotCopied, 24 + data.size());
  put(*out_, enterprise);
  put_padded(*out_, as_text(data));
  end(start);
  return at;
}

}  // namespace baleen::codec::pcap
