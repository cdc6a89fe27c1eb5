#pragma once

#include "dissect/dissector.h"
#include "dissect/matcher.h"

namespace baleen::dissect::http {

struct Draft;
struct Early;
struct Fields;
struct Head;
struct RequestLine;
struct StatusLine;

/// HTTP/1.0 and HTTP/1.1 (RFC 9110, RFC 9112): requests with their answers, pipelined or not. Hands over to another
/// protocol after 101 and after CONNECT. HTTP/0.9 has nothing to be known by and is refused.
///
/// Between messages a session holds no memory of its own but these few words: an item in the making lives in that
/// item's arena, with all that is known of it.
class Http final : public Session {
 public:
  static const item::Protocol kProtocol;         // HTTP/1.1
  static const item::Protocol kProtocol10;       // HTTP/1.0
  static const item::Protocol* const kCards[4];  // with GraphQL's and gRPC-Web's
  static constexpr bool kTcp = true, kUdp = false;
  static constexpr bool kAnswersTell = true, kReadsCut = true;
  static Probe probe(const Input& in);

  Step dissect(const Input& in, Output& out) override;
  void cut_off(const Input& in, Output& out) override;
  bool gap(Direction direction, uint64_t bytes, Output& out) override;
  Resync resync(const Input& in) override;
  void expire(Timestamp before, Output& out) override;
  void close(bool reset, Output& out) override;

 private:
  enum class State : uint8_t {
    kHead,        // a message begins here
    kLength,      // `left` bytes of body
    kSkip,        // the same, but the item went without them
    kChunkSize,   // RFC 9112 7.1
    kChunkData,   // `left` bytes of a chunk
    kChunkEnd,    // the line end after a chunk
    kTrailers,    // RFC 9112 7.1.2
    kUntilClose,  // RFC 9112 6.3 item 8
    kBroken,      // framing is lost; the next message may stand right here
    kRefused,     // what stands here is no head: resync() goes past its first byte
  };
  struct Side {
    Draft* draft = nullptr;  // the message that is not complete; in its item's arena
    uint64_t left = 0;
    uint32_t scanned = 0;  // bytes at the front in which no end of head or line was found
    State state = State::kHead;
    bool lost = false;  // resync() has not found a message since
  };

  Step head(Side& side, const Input& in, Output& out);
  Step refuse(Side& side, Output& out);
  Step broken_request(Side& side, const Input& in, Bytes bytes, Output& out);
  Step request(Side& side, const Input& in, const Head& head, const RequestLine& line, Output& out);
  Step response(Side& side, const Input& in, const Head& head, Output& out);
  void cut_request(std::string_view lines, uint64_t wire_size, Timestamp time, const char* why, Output& out);
  void cut_response(const Input& in, std::string_view lines, Output& out);
  Step maybe_bare(Side& side, const Input& in, Output& out);
  Step interim(Side& side, Draft& draft, const StatusLine& line, const Fields& fields, size_t size);
  Step body(Side& side, const Input& in, size_t at, Draft& draft, Output& out);
  /// What was read of a body at once: `used` bytes, of which `whole` says that they are its last; or what is wrong.
  struct BodyTurn {
    size_t used = 0;
    bool whole = false;
    const char* wrong = nullptr;
  };
  BodyTurn body_turn(Side& side, const Input& in, size_t at, Draft& draft, Output& out);
  BodyTurn content(Side& side, Bytes rest, Draft& draft, size_t cap);
  BodyTurn chunk_size_line(Side& side, Bytes rest);
  BodyTurn chunk(Side& side, Bytes rest, Draft& draft, size_t cap);
  BodyTurn chunk_end(Side& side, Bytes rest);
  BodyTurn trailers(Side& side, Bytes rest, Draft& draft, size_t cap);
  Step hand_over(Draft& draft, std::string_view to, size_t used, Output& out);
  Step broken(Side& side, Draft& draft, const char* why, size_t used, Output& out);
  static void keep_for_later(Side& side, Draft& draft);
  void finish(Draft& draft, Output& out);
  item::Item* complete(Draft& draft, Output& out);
  static void finish_unanswered(item::Item* item, Output& out);
  void give_up(Direction direction, const char* why, Output& out);
  bool answers_early(const StatusLine& line, const Output& out) const;
  item::Item* begin_early(const StatusLine& line, Timestamp time, Output& out);
  void note_early(const Input& in);
  item::Item* take_early();
  void end_early(const char* why, Output& out);
  Side& side_of(Direction d) { return sides_[static_cast<size_t>(d)]; }

  Side sides_[2];
  InOrderMatcher waiting_;
  Early* early_ = nullptr;
  // CONNECT or an upgrade waits for its answer: what follows in that direction may be another protocol.
  bool hold_ = false;
  bool unsure_ = false;  // requests were lost: an answer that nothing waits for may be theirs
};
static_assert(sizeof(Http) <= 128);

}  // namespace baleen::dissect::http
