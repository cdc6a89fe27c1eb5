#include "dissect/http2/hpack.h"

#include <algorithm>
#include <cstring>

#include "dissect/http2/huffman.h"

namespace baleen::dissect::http2 {
namespace {

// The size that an encoder may give its table. It announces each change itself, so the SETTINGS that allow it need not
// be followed; of a larger table than this only the newest entries are known.
constexpr uint32_t kMostTable = 64 << 10;
// Of a table whose size was agreed on before our time: browsers choose more than the usual 4 KiB.
constexpr uint32_t kLikelyTable = 16 << 10;
constexpr size_t kEntryOverhead = 32;  // RFC 7541 4.1

/// Appendix A; names as Go's http.CanonicalHeaderKey writes them, as all of ours are.
constexpr HeaderTable::Entry kStaticTable[kStaticEntries] = {
    {":authority", ""},
    {":method", "GET"},
    {":method", "POST"},
    {":path", "/"},
    {":path", "/index.html"},
    {":scheme", "http"},
    {":scheme", "https"},
    {":status", "200"},
    {":status", "204"},
    {":status", "206"},
    {":status", "304"},
    {":status", "400"},
    {":status", "404"},
    {":status", "500"},
    {"Accept-Charset", ""},
    {"Accept-Encoding", "gzip, deflate"},
    {"Accept-Language", ""},
    {"Accept-Ranges", ""},
    {"Accept", ""},
    {"Access-Control-Allow-Origin", ""},
    {"Age", ""},
    {"Allow", ""},
    {"Authorization", ""},
    {"Cache-Control", ""},
    {"Content-Disposition", ""},
    {"Content-Encoding", ""},
    {"Content-Language", ""},
    {"Content-Length", ""},
    {"Content-Location", ""},
    {"Content-Range", ""},
    {"Content-Type", ""},
    {"Cookie", ""},
    {"Date", ""},
    {"Etag", ""},
    {"Expect", ""},
    {"Expires", ""},
    {"From", ""},
    {"Host", ""},
    {"If-Match", ""},
    {"If-Modified-Since", ""},
    {"If-None-Match", ""},
    {"If-Range", ""},
    {"If-Unmodified-Since", ""},
    {"Last-Modified", ""},
    {"Link", ""},
    {"Location", ""},
    {"Max-Forwards", ""},
    {"Proxy-Authenticate", ""},
    {"Proxy-Authorization", ""},
    {"Range", ""},
    {"Referer", ""},
    {"Refresh", ""},
    {"Retry-After", ""},
    {"Server", ""},
    {"Set-Cookie", ""},
    {"Strict-Transport-Security", ""},
    {"Transfer-Encoding", ""},
    {"User-Agent", ""},
    {"Vary", ""},
    {"Via", ""},
    {"Www-Authenticate", ""},
};

/// "content-type" becomes "Content-Type"; names with other characters stay.
void write_name(char* name, size_t size) {
  bool up = true;
  for (size_t i = 0; i < size; ++i) {
    name[i] = up ? upper(name[i]) : lower(name[i]);
    up = name[i] == '-';
  }
}

/// A string of a block that next_representation() has measured (RFC 7541 5.2), in the arena.
bool read_string(Bytes string, Arena& arena, std::string_view& out) {
  const bool huffman = string[0] >= 0x80;
  size_t at = 1;
  if ((string[0] & 0x7F) == 0x7F)
    while (string[at++] >= 0x80) {
    }
  const Bytes content = string.subspan(at);
  if (!huffman) return out = arena.copy(as_text(content)), true;
  char* const text = static_cast<char*>(arena.allocate(most_decoded(content.size()) + 1, 1));
  const size_t size = decode_huffman(content, text);
  if (size == SIZE_MAX) return false;
  return out = {text, size}, true;
}

/// Where texts go that are only followed.
Arena& scratch() {
  static thread_local Arena arena;
  arena.clear();
  return arena;
}

}  // namespace

HeaderTable::Entry HeaderTable::operator[](size_t index) const {
  const Place& p = entries_[entries_.size() - 1 - index];
  return {{text_.data() + p.at, p.name}, {text_.data() + p.at + p.name, p.value}};
}

/// Lets the oldest entries go until `room` more fit.
void HeaderTable::evict(size_t room) {
  while (count() > 0 && size_ + room > most_) {
    const Place& p = entries_[oldest_++];
    size_ -= static_cast<uint32_t>(kEntryOverhead + p.name + p.value);
  }
  if (count() == 0) {
    entries_.clear();
    text_.clear();
    oldest_ = 0;
  }
}

void HeaderTable::add(std::string_view name, std::string_view value) {
  const size_t size = kEntryOverhead + name.size() + value.size();
  evict(size);
  if (size > most_) return;  // RFC 7541 4.4: it empties the table, and is not in it
  // What has left is moved over when it is half of all there is, so that each byte moves once per turn of the table.
  if (oldest_ > 0 && oldest_ * size_t{2} >= entries_.size()) {
    const uint32_t from = entries_[oldest_].at;
    text_.erase(text_.begin(), text_.begin() + from);
    entries_.erase(entries_.begin(), entries_.begin() + oldest_);
    for (Place& p : entries_) p.at -= from;
    oldest_ = 0;
  }
  entries_.push_back(
      {static_cast<uint32_t>(text_.size()), static_cast<uint16_t>(name.size()), static_cast<uint16_t>(value.size())});
  text_.insert(text_.end(), name.begin(), name.end());
  text_.insert(text_.end(), value.begin(), value.end());
  size_ += static_cast<uint32_t>(size);
}

void HeaderTable::resize(size_t most) {
  most_ = static_cast<uint32_t>(most);
  evict(0);
}

void HeaderTable::clear() {
  entries_ = {};
  text_ = {};
  oldest_ = size_ = 0;
}

void HeaderDecoder::forget() {
  table_.clear();
  if (!partial_) table_.resize(kLikelyTable);
  partial_ = true;
}

/// RFC 7541 2.3.3. False when it is not known.
bool HeaderDecoder::lookup(uint32_t index, HeaderTable::Entry& out) const {
  if (index <= kStaticEntries) return out = kStaticTable[index - 1], true;
  const size_t dynamic = index - kStaticEntries - 1;
  if (dynamic >= table_.count()) return false;
  return out = table_[dynamic], true;
}

/// One instruction. False when it cannot be read.
bool HeaderDecoder::field(Bytes block, const Representation& r, size_t cap, Arena& arena, Block& out) {
  using enum Representation::Kind;
  if (r.kind == kSizeUpdate) {
    partial_ |= r.index > kMostTable;
    table_.resize(std::min(r.index, kMostTable));
    return true;
  }
  const bool room = out.bytes <= cap && out.fields.size() < kMaxBlockFields;
  HeaderTable::Entry entry;
  const bool known = r.index == 0 || lookup(r.index, entry);
  if (!known && !partial_) return false;
  if (r.kind == kIndexed && !known) return ++out.unknown, true;
  const bool borrowed = r.index > kStaticEntries && known;
  Arena* at = &arena;
  if (!room || (r.kind == kIndexed && out.bytes + entry.name.size() + entry.value.size() > cap)) at = &scratch();
  if (r.kind != kIndexed) {
    if (r.index == 0) {
      // Behind the first byte: the value's string ends the instruction, so the name's lies between.
      if (!read_string(block.subspan(1, r.value_at - 1), *at, entry.name)) return false;
      write_name(const_cast<char*>(entry.name.data()), entry.name.size());
    }
    if (!read_string(block.subspan(r.value_at, r.bytes - r.value_at), *at, entry.value)) return false;
  }
  out.bytes += entry.name.size() + entry.value.size();
  const bool kept = room && out.bytes <= cap;
  out.too_long |= !kept;
  // What lies in the table may leave it: before the item is done, or (RFC 7541 4.4) to make room for what names it.
  if (borrowed && (kept || r.kind == kIndexing)) {
    entry.name = at->copy(entry.name);
    if (r.kind == kIndexed) entry.value = at->copy(entry.value);
  }
  if (kept) out.fields.push({entry.name, entry.value});
  if (r.kind == kIndexing) table_.add(entry.name, entry.value);
  return true;
}

void HeaderDecoder::decode(Bytes block, size_t cap, Arena& arena, Block& out) {
  Representation r;
  for (; !block.empty(); block = block.subspan(r.bytes)) {
    if (next_representation(block, r) && field(block, r, cap, arena, out)) continue;
    out.malformed = true;
    return forget();
  }
}

}  // namespace baleen::dissect::http2
