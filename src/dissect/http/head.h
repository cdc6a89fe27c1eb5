#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/arena.h"
#include "base/bytes.h"
#include "dissect/dissector.h"
#include "item/value.h"

// The head of a message: start line, field lines, empty line (RFC 9112 2.1). Pure functions from bytes to views.

namespace baleen::dissect::http {

/// Field lines beyond this many make a head malformed; servers allow about a hundred.
constexpr size_t kMaxFields = 1024;

/// Where the lines of a head end: offsets of their LF. Kept on the stack for all but monstrous heads.
struct LineEnds {
  static constexpr size_t kRoom = 96;
  uint32_t at[kRoom];
  size_t count = 0;  // may exceed kRoom; then only the first are in `at`
};

/// The size of the head with its empty line, or zero when that is not there yet. Looks at no byte before `from` except
/// the two in front of it; `lines` collects the ends of the lines it meets.
size_t find_head_end(Bytes bytes, size_t from, LineEnds& lines);

/// A head as it stands in the input.
struct Head {
  std::string_view text;  // with its empty line
  std::string_view line;  // the start line, without its end
  size_t line_end;        // where its LF stands
  const LineEnds& lines;
  bool all_lines;  // whether `lines` holds them from the first on
};

struct RequestLine {
  std::string_view method, target, version;  // "GET", "/x", "HTTP/1.1"
  bool ok = false;
};
struct StatusLine {
  std::string_view version, reason;  // "HTTP/1.1", "Not Found"
  int status = 0;
  bool ok = false;
};
/// RFC 9112 3 and 4. `line` is without its line end.
RequestLine parse_request_line(std::string_view line);
StatusLine parse_status_line(std::string_view line);
/// Whether this beginning of a line is certainly a request's: a well-known method, and the beginning of a target.
bool is_cut_request_line(std::string_view start);
/// Whether a line that begins so can still become one; the first kTelling bytes tell. Longer methods are legal (RFC
/// 9110 9.1 sets no limit), but not seen; the limit lets a probe answer soon.
constexpr size_t kMaxMethod = 32, kTelling = kMaxMethod + 2;
bool may_become_request_line(std::string_view start);
bool may_become_status_line(std::string_view start);

/// Whether these are the bytes of a head whose request line follows no rule, but which a client certainly meant as one:
/// it names a well-known method or HTTP, and nothing but field lines follow. kUnsure: more bytes can tell.
Probe probe_broken_head(std::string_view text);
/// What such a line seems to say: its parts, as far as they are there; not ok.
RequestLine guess_request_line(std::string_view line);
/// Whether a status line stands at the front; kUnsure: more bytes can tell.
Probe probe_status_line(std::string_view text);

/// The fields that the dissector itself acts upon.
enum class Known : uint8_t {
  kNone,
  kConnection,
  kContentEncoding,
  kContentLength,
  kContentType,
  kCookie,
  kLocation,
  kSetCookie,
  kTransferEncoding,
  kUpgrade,
  kCount
};

struct Fields {
  std::span<item::Member> members;  // one per name, in the order of their first lines
  std::string_view known[static_cast<size_t>(Known::kCount)];
  uint32_t present = 0;  // bit per Known
  bool as_sent = true;   // no name came twice, nothing was folded: the members say all that the head says
  bool malformed = false;

  std::string_view operator[](Known k) const { return known[static_cast<size_t>(k)]; }
  bool has(Known k) const { return (present >> static_cast<unsigned>(k) & 1) != 0; }
};

/// Collects fields one by one, from lines or as they come. Values of a repeated name are joined with "," as the
/// reference does (RFC 9110 5.3 allows it), those of Set-Cookie with LF, which cannot occur in one (RFC 9110 5.3
/// forbids the comma). What is joined lives in the arena, all else is viewed.
class FieldParser {
 public:
  /// At most `room` lines or fields. `end`: of the bytes that may be read behind a line; needed for line() only.
  /// `crumbs`: cookies come in pieces, to be joined with "; " (RFC 9113 8.2.3).
  FieldParser(Arena& arena, size_t room, const char* end, bool crumbs = false);
  void line(std::string_view text);
  /// REQUIRES: the name is not empty.
  void add(std::string_view name, std::string_view value);
  void bad() { out_.malformed = true, out_.as_sent = false; }
  Fields done();

 private:
  /// More text for a member that exists: a folded line, or a repeated name. They are joined once, at the end: joining
  /// at each line would copy quadratically.
  struct More {
    uint32_t member;
    std::string_view separator, text;
  };
  void append(uint32_t member, std::string_view separator, std::string_view text);
  void join(uint32_t member);

  Arena& arena_;
  const char* end_;
  size_t room_;
  item::Member* members_;
  More* more_ = nullptr;
  size_t more_count_ = 0;
  uint32_t count_ = 0, last_ = 0;
  uint64_t seen_ = 0;
  uint32_t where_[static_cast<size_t>(Known::kCount)];
  bool crumbs_;
  Fields out_;
};

/// Parses field lines with a FieldParser. `text` holds whole lines and lives as long as the result; `ends` are the
/// offsets of their LF, from the first field line to the last.
Fields parse_fields(std::string_view text, size_t begin, std::span<const uint32_t> ends, Arena& arena);

struct ContentLength {
  bool valid = false;
  uint64_t value = 0;
};
/// RFC 9112 6.3 item 5: a list of equal numbers counts as that number; anything else is invalid.
ContentLength parse_content_length(std::string_view value);

/// RFC 9110 5.6.1: whether a comma-separated list holds this token.
bool list_has(std::string_view list, std::string_view token);
/// The last member of a comma-separated list, trimmed.
std::string_view last_of(std::string_view list);

}  // namespace baleen::dissect::http
