#pragma once

#include "dissect/dissector.h"
#include "dissect/matcher.h"
#include "dissect/redis/resp.h"

namespace baleen::dissect::redis {

/// Redis and what speaks its protocol (Valkey, KeyDB, Dragonfly): RESP2 and RESP3 over TCP.
///
/// One item per command and its reply, in order. What a server sends by itself (pub/sub, RESP3 push, MONITOR) and the
/// stream to a replica are single items (`data`).
class Redis final : public Session {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true;
  static constexpr bool kUdp = false;
  static Probe probe(const Input& in);

  Step dissect(const Input& in, Output& out) override;
  bool gap(Direction direction, uint64_t bytes, Output& out) override;
  Resync resync(const Input& in) override;
  void expire(Timestamp before, Output& out) override;
  void close(bool reset, Output& out) override;

 private:
  struct Reading {
    RespReader resp;
    item::Item* item = nullptr;  // being read into; ours
    uint64_t size = 0;           // bytes of the message so far
    Timestamp time{};
    bool from_queue = false;  // the item is a request that this answers
  };
  enum class Replies : uint8_t { kOn, kOff, kSkip };
  enum class Replication : uint8_t { kNone, kAsked, kFile, kStream };

  Step read_command(const Input& in, Output& out);
  Step read_inline(const Input& in, Output& out);
  Step read_reply(const Input& in, Output& out);
  Step read_file(const Input& in, Output& out);
  Step advance(Reading& r, const Input& in, Output& out, bool command, bool& complete);
  void begin(Reading& r, item::Item* item, const Input& in, const Settings& settings);
  void finish_command(Output& out);
  void finish_command(item::Item* item, std::string_view type, item::Value args, uint64_t count, bool truncated,
                      Output& out);
  void finish_reply(Output& out);
  void follow(const item::Item* request, const item::Value& reply);
  void abandon(Reading& r, bool client, Output& out);

  Reading reading_[2];
  InOrderMatcher waiting_;
  uint64_t file_left_ = 0;             // of a snapshot that a replica is sent
  uint32_t scanned_ = 0;               // bytes of an inline command without line end
  bool line_start_[2] = {true, true};  // what resync() looks at next begins a line
  bool adrift_ = false;                // bytes were lost: pairs are not certain until the conversation turns around
  bool replied_ = false;               // a reply was seen since
  bool subscribed_ = false;            // arrays may be messages of channels
  bool monitoring_ = false;
  bool in_multi_ = false;
  Replies replies_ = Replies::kOn;
  Replication replication_ = Replication::kNone;
  bool lost_here_[2] = {false, false};  // the next byte begins no message, whatever it looks like
};

}  // namespace baleen::dissect::redis
