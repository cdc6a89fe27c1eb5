#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace baleen::codec {

/// Reads a tar archive (POSIX.1-1988 ustar, POSIX.1-2001 pax, GNU, and the older form without a magic) from a window of
/// bytes that slides over it. It holds no bytes but names; memory is bounded, work is one pass.
class TarReader {
 public:
  static constexpr size_t kRecord = 512;
  static constexpr size_t kMostExtended = 64 << 10;  // bytes of a pax header or a long name that are looked at

  enum class Kind : uint8_t {
    kNeed,   // the window has to hold `need` bytes from its new front on
    kEntry,  // a regular file begins: entry()
    kData,   // `data`, a piece of it, perhaps with `last`
    kEnd,    // the archive is over
    kFailed  // this is no header: see error(). Every later call says so
  };
  struct Step {
    Kind kind = Kind::kNeed;
    size_t consumed = 0;
    size_t need = 0;
    Bytes data;
    bool last = false;  // of the entry; a file without content has one empty piece
  };
  struct Entry {
    std::string name;  // as it stands there: may begin with "/" or hold ".."
    uint64_t size = 0;
  };

  /// Whether the first bytes of something are a tar archive's. REQUIRES: kRecord bytes.
  static bool is_tar(Bytes first);

  Step read(Bytes window);
  const Entry& entry() const { return entry_; }
  const Error& error() const { return *error_; }

 private:
  Step header(Bytes record);
  Step data(Bytes window);
  Step extended(Bytes window);
  void take_extended();
  void take_pax(std::string_view text);

  enum class State : uint8_t { kHeader, kData, kSkip, kExtended, kEnd, kFailed };
  State state_ = State::kHeader;
  Entry entry_;
  uint64_t left_ = 0, padding_ = 0;  // bytes of the content in hand, and behind it up to the next record
  char extended_kind_ = 0;
  std::string extended_;   // what was kept of it
  std::string next_name_;  // by an extended header, for the file behind it
  std::optional<uint64_t> next_size_;
  uint64_t offset_ = 0;
  std::optional<Error> error_;
};

}  // namespace baleen::codec
