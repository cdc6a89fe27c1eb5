#include "codec/tar/tar.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace baleen::codec {
namespace {

// POSIX.1-1988 ustar: offsets in a header.
constexpr size_t kName = 0, kNameSize = 100, kSize = 124, kSizeSize = 12, kChecksum = 148, kChecksumSize = 8;
constexpr size_t kType = 156, kMagic = 257, kPrefix = 345, kPrefixSize = 155, kIsExtended = 482;

std::string_view text_at(Bytes record, size_t at, size_t size) {
  const std::string_view field = as_text(record.subspan(at, size));
  return field.substr(0, std::min(field.find('\0'), field.size()));
}

/// Octal digits between spaces, or (GNU, star) a big-endian number behind a byte with its highest bit set.
std::optional<uint64_t> number_at(Bytes record, size_t at, size_t size) {
  const Bytes field = record.subspan(at, size);
  if ((field[0] & 0x80) != 0) {
    if (field[0] != 0x80) return std::nullopt;  // negative, or beyond 2^56
    uint64_t n = 0;
    for (const uint8_t b : field.subspan(1)) {
      if (n >> 54 != 0) return std::nullopt;
      n = n << 8 | b;
    }
    return n;
  }
  uint64_t n = 0;
  bool begun = false;
  for (const uint8_t b : field) {
    if (b >= '0' && b <= '7') {
      if (n >> 58 != 0) return std::nullopt;
      n = n << 3 | (b - '0');
      begun = true;
    } else if (b == 0 || b == ' ') {
      if (begun) break;
    } else {
      return std::nullopt;
    }
  }
  return n;
}

/// The sum of all bytes, those of the sum itself taken for spaces. Some old writers summed signed bytes.
bool checksum_is_right(Bytes record) {
  const auto wanted = number_at(record, kChecksum, kChecksumSize);
  if (!wanted) return false;
  uint64_t sum = 0;
  int64_t signed_sum = 0;
  for (size_t i = 0; i < TarReader::kRecord; ++i) {
    const uint8_t b = i >= kChecksum && i < kChecksum + kChecksumSize ? uint8_t{' '} : record[i];
    sum += b;
    signed_sum += static_cast<int8_t>(b);
  }
  return *wanted == sum || static_cast<int64_t>(*wanted) == signed_sum;
}

bool is_empty(Bytes record) {
  return std::all_of(record.begin(), record.begin() + TarReader::kRecord, [](uint8_t b) { return b == 0; });
}

uint64_t padding_of(uint64_t size) { return (TarReader::kRecord - size % TarReader::kRecord) % TarReader::kRecord; }

}  // namespace

bool TarReader::is_tar(Bytes first) {
  return !is_empty(first) && checksum_is_right(first) && number_at(first, kSize, kSizeSize);
}

TarReader::Step TarReader::read(Bytes window) {
  switch (state_) {
    case State::kFailed: return {.kind = Kind::kFailed};
    case State::kEnd: return {.kind = Kind::kEnd};
    case State::kHeader:
      if (window.size() < kRecord) return {.kind = Kind::kNeed, .need = kRecord};
      offset_ += kRecord;
      return header(window.first(kRecord));
    case State::kData: return data(window);
    case State::kExtended:
    case State::kSkip: return extended(window);
  }
  return {.kind = Kind::kFailed};
}

TarReader::Step TarReader::header(Bytes record) {
  if (is_empty(record)) {  // one would do; writers put two and fill up a larger record
    state_ = State::kEnd;
    return {.kind = Kind::kEnd, .consumed = kRecord};
  }
  const auto size = number_at(record, kSize, kSizeSize);
  if (!checksum_is_right(record) || !size) {
    state_ = State::kFailed;
    error_ = Error{Code::kInvalid, fmt::format("corrupt tar archive at offset {}: no header there", offset_ - kRecord)};
    return {.kind = Kind::kFailed};
  }
  const char type = static_cast<char>(record[kType]);
  if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
    extended_kind_ = type;
    extended_.clear();
    left_ = *size;
    padding_ = padding_of(left_);
    state_ = State::kExtended;
    if (left_ + padding_ == 0) {
      take_extended();
      state_ = State::kHeader;
    }
    return {.kind = Kind::kNeed, .consumed = kRecord, .need = 1};
  }
  const bool ustar = as_text(record.subspan(kMagic, 5)) == "ustar";
  const bool posix = ustar && record[kMagic + 5] == 0;  // GNU keeps other things where the prefix is
  entry_.name = next_name_;
  if (entry_.name.empty()) {
    entry_.name = text_at(record, kName, kNameSize);
    if (const auto prefix = posix ? text_at(record, kPrefix, kPrefixSize) : std::string_view(); !prefix.empty())
      entry_.name = fmt::format("{}/{}", prefix, entry_.name);
  }
  entry_.size = next_size_.value_or(*size);
  next_name_.clear();
  next_size_.reset();
  left_ = entry_.size;
  // Links, devices and folders have no content, whatever their size says.
  if (type >= '1' && type <= '6') left_ = 0;
  padding_ = padding_of(left_);
  const bool is_file = (type == '0' || type == 0 || type == '7') && !entry_.name.ends_with('/');
  // GNU sparse: what lies here is not the file's content. Its map may go on behind the header.
  if (type == 'S' && record[kIsExtended] != 0) {
    state_ = State::kFailed;
    error_ = Error{Code::kInvalid, fmt::format("{}: sparse files in tar archives are not read", entry_.name)};
    return {.kind = Kind::kFailed};
  }
  if (is_file) {
    state_ = State::kData;
    return {.kind = Kind::kEntry, .consumed = kRecord};
  }
  state_ = left_ + padding_ == 0 ? State::kHeader : State::kSkip;
  extended_kind_ = 0;
  return {.kind = Kind::kNeed, .consumed = kRecord, .need = 1};
}

TarReader::Step TarReader::data(Bytes window) {
  if (left_ != 0 && window.empty()) return {.kind = Kind::kNeed, .need = 1};
  const size_t n = static_cast<size_t>(std::min<uint64_t>(left_, window.size()));
  left_ -= n;
  offset_ += n;
  if (left_ == 0) state_ = padding_ == 0 ? State::kHeader : State::kSkip;
  return {.kind = Kind::kData, .consumed = n, .data = window.first(n), .last = left_ == 0};
}

/// What is skipped, or kept for the header behind it.
TarReader::Step TarReader::extended(Bytes window) {
  const size_t n = static_cast<size_t>(std::min<uint64_t>(left_, window.size()));
  if (state_ == State::kExtended) {
    const size_t room = kMostExtended - std::min(extended_.size(), kMostExtended);
    extended_ += as_text(window.first(std::min(n, room)));
  }
  left_ -= n;
  const size_t pad = left_ == 0 ? static_cast<size_t>(std::min<uint64_t>(padding_, window.size() - n)) : 0;
  padding_ -= pad;
  offset_ += n + pad;
  if (left_ + padding_ == 0) {
    if (state_ == State::kExtended) take_extended();
    state_ = State::kHeader;
    return {.kind = Kind::kNeed, .consumed = n + pad, .need = kRecord};
  }
  return {.kind = Kind::kNeed, .consumed = n + pad, .need = 1};
}

void TarReader::take_extended() {
  if (extended_kind_ == 'L') next_name_ = extended_.substr(0, std::min(extended_.find('\0'), extended_.size()));
  if (extended_kind_ == 'x') take_pax(extended_);
  extended_.clear();
}

/// POSIX.1-2001 pax: "length key=value\n", the length being that of the whole line.
void TarReader::take_pax(std::string_view text) {
  while (!text.empty()) {
    size_t length = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), length);
    const auto digits = static_cast<size_t>(end - text.data());
    if (ec != std::errc() || length <= digits + 1 || length > text.size() || text[digits] != ' ') return;
    std::string_view line = text.substr(digits + 1, length - digits - 1);
    if (line.ends_with('\n')) line.remove_suffix(1);
    const size_t equal = line.find('=');
    if (equal == std::string_view::npos) return;
    const std::string_view key = line.substr(0, equal), value = line.substr(equal + 1);
    if (key == "path") next_name_ = value;
    uint64_t size = 0;
    if (key == "size" && std::from_chars(value.data(), value.data() + value.size(), size).ec == std::errc() &&
        size >> 62 == 0)
      next_size_ = size;
    text.remove_prefix(length);
  }
}

}  // namespace baleen::codec
