#pragma once

#include <cstdint>

#include "base/arena.h"
#include "base/bytes.h"
#include "item/value.h"

namespace baleen::dissect::redis {

/// Reads one RESP2/RESP3 value after another from one direction, token by token, into an arena that the caller names
/// for each. Nothing is looked at twice, whatever the cuts; between values it holds no memory.
/// https://redis.io/docs/latest/develop/reference/protocol-spec/
class RespReader {
 public:
  enum class Got : uint8_t {
    kValue,  // `used` bytes end a value: value(), type()
    kTook,   // `used` bytes were taken, the value goes on
    kNeed,   // `amount` bytes in all before asking makes sense (0: any more)
    kSkip,   // the next `amount` bytes are content beyond the cap
    kBad,    // not RESP
  };
  struct Step {
    Got got;
    uint64_t amount = 0;
  };

  static constexpr uint32_t kMaxElements = 4096;    // kept per message, all depths together
  static constexpr uint32_t kMaxDepth = 32;         // of nested aggregates
  static constexpr size_t kMaxLine = 64 << 10;      // PROTO_INLINE_MAX_SIZE of the server
  static constexpr uint64_t kMaxBulk = 1ull << 32;  // beyond proto-max-bulk-len of any sane server
  static constexpr size_t kWhole = 64 << 10;        // bulks up to this are awaited whole, larger ones are streamed

  /// The next value goes to `arena`, at most `cap` bytes of its content.
  void start(Arena* arena, size_t cap) {
    *this = RespReader();
    arena_ = arena;
    cap_ = static_cast<uint32_t>(cap < UINT32_MAX ? cap : UINT32_MAX);
  }
  void stop() { arena_ = nullptr; }
  bool active() const { return arena_ != nullptr; }
  /// Between start() and kValue. `command`: the value is a client's command, an array of bulk strings.
  Step read(Bytes bytes, size_t& used, bool command);

  const item::Value& value() const { return value_; }
  char type() const { return type_; }        // of the outermost value
  uint64_t count() const { return count_; }  // elements that the outermost aggregate announces
  bool truncated() const { return truncated_; }
  /// Of an unfinished outermost array, what is there (for a stream that ends within).
  item::Value so_far() const;

 private:
  struct Frame;
  struct Cursor;
  struct Turn;
  size_t whole_command(Bytes bytes);
  Turn next_token(Cursor& in, bool command);
  Turn head(Cursor& in, bool command);
  Turn streamed(Cursor& in, char type);
  Turn aggregate(Cursor& in, char type);
  Turn bulk_head(Cursor& in, char type, bool command);
  Turn integer(Cursor& in);
  Turn line(Cursor& in, char type);
  Turn bulk(Cursor& in);
  Turn body(Cursor& in);
  Turn tail(Cursor& in);
  std::string_view without_format(std::string_view text) const;
  enum class Phase : uint8_t { kHead, kBulk, kBody, kTail };
  void open(char type, int64_t n);
  void open_streamed(char type);
  bool end_streamed();
  bool deliver(item::Value value);
  item::Value close(Frame& frame);
  item::Value keep(std::string_view text);

  Arena* arena_ = nullptr;
  Frame* top_ = nullptr;
  item::Value value_;
  uint64_t count_ = 0;
  uint64_t body_left_ = 0;   // content of the bulk in hand
  char* store_ = nullptr;    // where its next byte goes
  uint32_t store_left_ = 0;  // how many may still go there
  uint32_t stored_ = 0;      // how many went
  uint32_t scanned_ = 0;     // bytes at the front without line end
  uint32_t cap_ = 0;         // content that may still be kept
  uint32_t elements_ = 0;
  uint8_t depth_ = 0;
  char type_ = 0;
  char bulk_type_ = 0;
  Phase phase_ = Phase::kHead;
  bool truncated_ = false;
};

}  // namespace baleen::dissect::redis
