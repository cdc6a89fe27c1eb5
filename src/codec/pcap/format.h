#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"

// What pcap and pcapng files hold, as values that the reader fills and the writers take.
// Specifications: draft-ietf-opsawg-pcap (pcap), draft-ietf-opsawg-pcapng (pcapng, called "ng" below).

namespace baleen::codec::pcap {

/// One packet as a file has it: a view of the bytes it was read from.
struct PacketRecord {
  Timestamp time;
  Bytes bytes;               // from the link header on, without a frame check sequence
  uint32_t wire_length = 0;  // what it was on the wire, in bytes, without a frame check sequence
  uint32_t interface = 0;    // index into Reader::interfaces(); the writers' own interface id
  uint16_t link = 1;         // LINKTYPE_ number
  uint16_t direction = 0;    // 0 not known, 1 inbound, 2 outbound (ng 4.3.1, bits 0-1 of epb_flags)
  uint64_t offset = 0;       // where in the file its record or block starts
  std::string_view comment;  // the first opt_comment; a view like `bytes`
};

inline constexpr uint64_t kNotCounted = std::numeric_limits<uint64_t>::max();

/// Counters of one interface (ng 4.6); kNotCounted: the file does not say.
struct InterfaceStatistics {
  Timestamp time{};                   // when the counters were read
  uint64_t received = kNotCounted;    // isb_ifrecv
  uint64_t dropped = kNotCounted;     // isb_ifdrop: for lack of resources, by the interface
  uint64_t os_dropped = kNotCounted;  // isb_osdrop: by the operating system
  uint64_t accepted = kNotCounted;    // isb_filteraccept: passed the capture filter
  uint64_t delivered = kNotCounted;   // isb_usrdeliv: handed to the user
  bool operator==(const InterfaceStatistics&) const = default;
};

/// How the 64-bit timestamps of an interface count (ng 4.2, if_tsresol and if_tsoffset).
struct TimeResolution {
  uint8_t exponent = 6;  // units of 10^-exponent or 2^-exponent seconds
  bool power_of_two = false;
  int64_t offset_seconds = 0;  // added to every timestamp

  /// Nanoseconds since 1970; what does not fit is clamped to the ends of the range.
  int64_t to_ns(uint64_t units) const;
  bool operator==(const TimeResolution&) const = default;
};

/// One interface: an Interface Description Block, or what a pcap file's header says of its only one.
struct Interface {
  uint16_t link = 1;
  uint32_t snap_length = 0;  // 0: no limit
  std::string name;          // if_name
  std::string description;   // if_description
  std::string filter;        // if_filter, when it is text
  TimeResolution resolution;
  uint8_t fcs_bytes = 0;  // frame check sequence at the end of every packet; the reader takes it off
  InterfaceStatistics statistics;
  bool operator==(const Interface&) const = default;
};

/// Who wrote a section (ng 4.1).
struct Section {
  std::string hardware;     // shb_hardware
  std::string os;           // shb_os
  std::string application;  // shb_userappl
  std::string comment;
  bool operator==(const Section&) const = default;
};

/// One address and what it is called (ng 4.5). IPv4 has 4 bytes, IPv6 16.
struct Name {
  Bytes address;
  std::string_view name;
};

inline constexpr uint32_t kTlsKeyLog = 0x544c534b;  // secrets type: NSS key log lines (ng 4.7)

inline constexpr uint32_t kMagicMicroseconds = 0xa1b2c3d4;
inline constexpr uint32_t kMagicNanoseconds = 0xa1b23c4d;
inline constexpr uint32_t kMagicModified = 0xa1b2cd34;  // Kuznetzov's: 24-byte record headers, microseconds
inline constexpr uint32_t kByteOrderMagic = 0x1a2b3c4d;

inline constexpr uint32_t kSectionHeader = 0x0a0d0d0a;
inline constexpr uint32_t kInterfaceDescription = 1;
inline constexpr uint32_t kObsoletePacket = 2;
inline constexpr uint32_t kSimplePacket = 3;
inline constexpr uint32_t kNameResolution = 4;
inline constexpr uint32_t kInterfaceStatistics = 5;
inline constexpr uint32_t kEnhancedPacket = 6;
inline constexpr uint32_t kDecryptionSecrets = 10;
inline constexpr uint32_t kCustom = 0x00000bad;
inline constexpr uint32_t kCustomNotCopied = 0x40000bad;

}  // namespace baleen::codec::pcap
