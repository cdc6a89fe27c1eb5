// Redis is told apart by whose turn it is, nothing else: replies carry no number, so they answer commands in order.
// What breaks the order is known: messages of channels (marked in RESP3, recognised by their first word in RESP2),
// CLIENT REPLY OFF, MONITOR, a replica's stream. After a loss nobody can say which reply answers which command until
// the conversation has turned around once; until then both sides are shown alone rather than wrongly paired.

#include "dissect/redis/redis.h"

#include <algorithm>
#include <cstring>

#include "dissect/redis/command.h"
#include "dissect/redis/payload.h"
#include "dissect/text.h"

namespace baleen::dissect::redis {

using item::Field;
using item::FieldType;
using item::Item;
using item::Outcome;
using item::Value;

namespace {

constexpr uint16_t kPorts[] = {6379};
constexpr Field kFields[] = {
    {"request.command", "redis_type", FieldType::kString, "The verb of the command in upper case, such as GET."},
    {"request.commandLine", "redis_command", FieldType::kString,
     "The command with its arguments, cut after 4096 bytes; passwords are left out."},
    {"request.key", "redis_key", FieldType::kString, "The first key or channel, cut after 64 bytes."},
    {"requestSize", "redis_request_size", FieldType::kInt, "Bytes of the command on the stream."},
    {"responseSize", "redis_response_size", FieldType::kInt, "Bytes of the reply on the stream."},
    {"size", "redis_total_size", FieldType::kInt, "Bytes of command and reply together."},
    {"request.type", "", FieldType::kString, "Array, or Inline for a command typed as text."},
    {"request.value", "", FieldType::kString, "What the command writes, when that is one thing."},
    {"request.keyword", "", FieldType::kString, "The subcommand, such as GET of CONFIG GET."},
    {"request.args", "", FieldType::kList, "The arguments behind the verb; passwords are left out."},
    {"request.argCount", "", FieldType::kInt, "How many arguments there were, kept or not."},
    {"request.transaction", "", FieldType::kBool, "The command stood between MULTI and EXEC."},
    {"request.truncated", "", FieldType::kBool, "Not all of the command was kept."},
    {"request.user", "", FieldType::kString, "The user of AUTH, HELLO or ACL SETUSER."},
    {"request.password", "", FieldType::kString, "The password of AUTH, HELLO, MIGRATE, CONFIG SET or ACL SETUSER.",
     true},
    {"response.type", "", FieldType::kString, "The RESP type of the reply."},
    {"response.value", "", FieldType::kString, "The reply; lists and maps keep their shape."},
    {"response.keyword", "", FieldType::kString, "The word of a simple string reply, such as OK or QUEUED."},
    {"response.status", "", FieldType::kString, "OK, or the first word of the error, such as WRONGTYPE."},
    {"response.error", "", FieldType::kString, "The error message."},
    {"response.count", "", FieldType::kInt, "How many elements the outermost list or map announced."},
    {"response.truncated", "", FieldType::kBool, "Not all of the reply was kept."},
    {"response.redirect.kind", "", FieldType::kString, "MOVED or ASK."},
    {"response.redirect.slot", "", FieldType::kInt, "The hash slot that lives elsewhere."},
    {"response.redirect.address", "", FieldType::kString, "host:port of the node to ask."},
    {"data.type", "", FieldType::kString, "The RESP type of what was sent unasked."},
    {"data.command", "", FieldType::kString, "The verb, of what a replica is sent."},
    {"data.keyword", "", FieldType::kString, "The kind of a push, such as message, subscribe or invalidate."},
    {"data.key", "", FieldType::kString, "The channel."},
    {"data.value", "", FieldType::kString, "What was sent."},
};

constexpr uint64_t operator""_verb(const char* s, size_t n) { return verb_id({s, n}); }

/// The first word of a list, when it names what channels send.
std::string_view push_kind(const Value& v) {
  return v.is_list() && v.size() >= 2 ? v.elements()[0].text() : std::string_view();
}
bool is_message(std::string_view kind) { return kind == "message" || kind == "pmessage" || kind == "smessage"; }
bool is_confirmation(std::string_view kind) {
  return kind.ends_with("subscribe") && kind.size() <= 12;  // [p|s][un]subscribe
}

}  // namespace

const item::Protocol Redis::kProtocol = {
    .name = "redis",
    .version = "3.x",
    .abbreviation = "REDIS",
    .long_name = "Redis Serialization Protocol",
    .macro = "redis",
    .reference = "https://redis.io/docs/latest/develop/reference/protocol-spec/",
    .background = "#a41e11",
    .foreground = "#ffffff",
    .font_size = 11,
    .priority = 3,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.command",
    .summary_path = "request.key",
    .status_path = "response.status",
};

void Redis::begin(Reading& r, Item* item, const Input& in, const Settings& settings) {
  r.item = item;
  r.size = 0;
  r.time = in.time;
  r.resp.start(&item->arena, settings.body_cap);
}

/// Reads on; `complete` says that the value is there.
Step Redis::advance(Reading& r, const Input& in, Output& out, bool command, bool& complete) {
  size_t used = 0;
  const RespReader::Step step = r.resp.read(in.bytes, used, command);
  switch (step.got) {
    case RespReader::Got::kValue: complete = true; [[fallthrough]];
    case RespReader::Got::kTook: r.size += used; return Step::took(used);
    case RespReader::Got::kNeed: return Step::need(step.amount);
    case RespReader::Got::kSkip:
      r.size += step.amount;
      out.count(Counter::kBodyCapped);
      return Step::skip(step.amount);
    case RespReader::Got::kBad: break;
  }
  abandon(r, in.direction == Direction::kToServer, out);
  gap(in.direction, 0, out);  // where it goes on is anybody's guess, as after a loss
  lost_here_[static_cast<int>(in.direction)] = true;
  return Step::lost();
}

Step Redis::dissect(const Input& in, Output& out) {
  if (in.bytes.empty()) return Step::need();
  return in.direction == Direction::kToServer ? read_command(in, out) : read_reply(in, out);
}

Step Redis::read_command(const Input& in, Output& out) {
  Reading& r = reading_[0];
  if (r.item == nullptr) {
    if (in.bytes[0] != '*') return read_inline(in, out);
    begin(r, out.begin(kProtocol), in, out.settings());
  }
  bool complete = false;
  const Step step = advance(r, in, out, true, complete);
  if (complete) finish_command(out);
  return step;
}

/// A line of words (https://redis.io/docs/latest/develop/reference/protocol-spec/#inline-commands).
Step Redis::read_inline(const Input& in, Output& out) {
  const uint8_t* b = in.bytes.data();
  const void* end = scanned_ < in.bytes.size() ? std::memchr(b + scanned_, '\n', in.bytes.size() - scanned_) : nullptr;
  if (end == nullptr) {
    scanned_ = static_cast<uint32_t>(in.bytes.size());
    if (scanned_ <= RespReader::kMaxLine) return Step::need();
    scanned_ = 0;
    lost_here_[0] = true;
    return Step::lost();
  }
  scanned_ = 0;
  const size_t used = static_cast<size_t>(static_cast<const uint8_t*>(end) - b) + 1;
  std::string_view line = as_text(in.bytes.first(used - 1));
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (used > RespReader::kMaxLine || !is_text(line)) {
    lost_here_[0] = true;
    return Step::lost();
  }
  if (line.find_first_not_of(" \t") == std::string_view::npos) return Step::took(used);  // an empty line says nothing
  Item* item = out.begin(kProtocol);
  line = item->arena.copy(line);
  auto words = item->arena.array<Value>(std::min<size_t>(line.size() / 2 + 1, 256));
  size_t n = 0;
  uint64_t count = 0;
  for (size_t at = 0; (at = line.find_first_not_of(" \t", at)) != std::string_view::npos; ++count) {
    size_t stop;
    std::string_view word;
    if (const char quote = line[at]; quote == '"' || quote == '\'') {
      stop = std::min(line.find(quote, at + 1), line.size());
      word = line.substr(at + 1, stop - at - 1);
      stop = std::min(stop + 1, line.size());
    } else {
      stop = std::min(line.find_first_of(" \t", at), line.size());
      word = line.substr(at, stop - at);
    }
    if (n < words.size()) words[n++] = Value(word);
    at = stop;
  }
  item->request.time = in.time;
  item->request.size = used;
  finish_command(item, "Inline", Value::list(words.subspan(0, n)), count, n < count, out);
  return Step::took(used);
}

void Redis::finish_command(Output& out) {
  Reading& r = reading_[0];
  Item* item = std::exchange(r.item, nullptr);
  item->request.time = r.time;
  item->request.size = r.size;
  finish_command(item, "Array", r.resp.value(), r.resp.count(), r.resp.truncated(), out);
}

void Redis::finish_command(Item* item, std::string_view type, Value args, uint64_t count, bool truncated, Output& out) {
  if (args.size() == 0) return out.drop(item);  // "*0": the server does not answer it either
  const uint64_t verb = verb_id(args.elements()[0].text());
  if (verb == "EXEC"_verb || verb == "DISCARD"_verb) in_multi_ = false;
  item->request.present = true;
  item->request.payload = command_payload(type, args.elements(), count, truncated, in_multi_, verb, item->arena);
  item->match_key = verb;
  if (verb == "MULTI"_verb) in_multi_ = true;
  if (replication_ == Replication::kStream) return out.finish(item);  // a replica's REPLCONF ACK has no answer
  if (verb == "CLIENT"_verb && args.size() > 2 && same_word(args.elements()[1].text(), "REPLY")) {
    const std::string_view how = args.elements()[2].text();
    replies_ = same_word(how, "OFF") ? Replies::kOff : same_word(how, "SKIP") ? Replies::kSkip : Replies::kOn;
    if (replies_ != Replies::kOn) return out.finish(item);
  } else if (replies_ != Replies::kOn) {
    if (replies_ == Replies::kSkip) replies_ = Replies::kOn;
    return out.finish(item);
  }
  if (adrift_ && replied_) adrift_ = false;  // turned around: the reply to this command comes next
  if (adrift_) return InOrderMatcher::finish_without_answer(item, out);
  waiting_.push(item, out);
}

Step Redis::read_reply(const Input& in, Output& out) {
  Reading& r = reading_[1];
  if (r.item == nullptr) {
    const uint8_t type = in.bytes[0];
    if (replication_ != Replication::kNone || type == '\n') {
      if (type == '\n') return Step::took(1);  // keep-alive while a snapshot is made
      if (replication_ == Replication::kAsked && type == '$') replication_ = Replication::kFile;
      if (replication_ == Replication::kFile) return read_file(in, out);
    }
    // Whether it answers the oldest command is known only when it is all there, where channels may send, too.
    const bool may_be_push = type == '>' || (subscribed_ && type == '*') || monitoring_ ||
                             replication_ == Replication::kStream || waiting_.empty();
    r.from_queue = !may_be_push;
    begin(r, may_be_push ? out.begin(kProtocol) : waiting_.pop(), in, out.settings());
  }
  bool complete = false;
  const Step step = advance(r, in, out, replication_ == Replication::kStream, complete);
  if (complete) finish_reply(out);
  return step;
}

/// The snapshot that a replica is sent: "$<bytes>" and the bytes, with nothing behind them.
Step Redis::read_file(const Input& in, Output& out) {
  const std::string_view text = as_text(in.bytes.first(std::min<size_t>(in.bytes.size(), 64)));
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return text.size() < 64 ? Step::need() : Step::done();
  if (file_left_ == 0) {
    if (text[0] != '$') return Step::done();
    if (text.starts_with("$EOF:")) return Step::done();  // its end is a random mark, not a length
    for (size_t i = 1; i < end && text[i] != '\r'; ++i) {
      if (text[i] < '0' || text[i] > '9' || i > 18) return Step::done();
      file_left_ = file_left_ * 10 + static_cast<uint64_t>(text[i] - '0');
    }
  }
  const uint64_t all = end + 1 + std::exchange(file_left_, 0);
  replication_ = Replication::kStream;
  out.count(Counter::kSkippedBytes, all);
  return Step::skip(all);
}

void Redis::finish_reply(Output& out) {
  Reading& r = reading_[1];
  Item* item = std::exchange(r.item, nullptr);
  const char type = r.resp.type();
  Value value = r.resp.value();
  replied_ = true;
  if (replication_ == Replication::kStream) {
    item->data = {{}, r.time, r.size, true};
    item->outcome = Outcome::kSingle;
    const uint64_t verb = value.size() == 0 ? 0 : verb_id(value.elements()[0].text());
    item->data.payload =
        command_payload("Array", value.elements(), r.resp.count(), r.resp.truncated(), false, verb, item->arena);
    return out.finish(item);
  }
  const std::string_view kind = push_kind(value);
  const bool confirms = is_confirmation(kind) && !waiting_.empty() &&
                        same_word(kind, waiting_.front()->request.payload["command"].text());
  const bool push = (type == '>' && !confirms) ||
                    (subscribed_ && (is_message(kind) || (is_confirmation(kind) && !confirms))) ||
                    (monitoring_ && type == '+' && waiting_.empty());
  if (push) {
    MapBuilder<6> map;
    map.add("type", type_name(type));
    map.add("keyword", kind);
    if (value.is_list() && value.size() >= 2 && value.elements()[1].is_string()) map.add("key", value.elements()[1]);
    map.add("value", value.is_list() && is_message(kind) ? value.elements().back() : value);
    if (r.resp.truncated()) map.add("truncated", true);
    item->data = {map.build(item->arena), r.time, r.size, true};
    item->outcome = Outcome::kSingle;
    return out.finish(item);
  }
  if (!r.from_queue && !waiting_.empty()) {
    Item* request = waiting_.pop();
    value = copy_into(request->arena, value);
    out.drop(item);
    item = request;
    r.from_queue = true;
  }
  item->response = {reply_payload(type, value, r.resp.count(), r.resp.truncated(), item->arena), r.time, r.size, true};
  if (r.from_queue) {
    if (type != '-' && type != '!') follow(item, value);
  } else {
    if (is_message(kind) || is_confirmation(kind)) subscribed_ = true;  // joined in the middle
    item->outcome = Outcome::kNoRequest;
    out.count(Counter::kHalfResponses);
  }
  out.finish(item);
}

/// What a command that was answered, and not refused, changes about what comes next.
void Redis::follow(const Item* request, const Value& reply) {
  switch (request->match_key) {
    case "MONITOR"_verb: monitoring_ = true; break;
    case "RESET"_verb:
      monitoring_ = subscribed_ = in_multi_ = false;
      replies_ = Replies::kOn;
      break;
    case "PSYNC"_verb: {
      const std::string_view how = reply.text();
      replication_ = how.starts_with("FULLRESYNC") ? Replication::kFile
                     : how.starts_with("CONTINUE") ? Replication::kStream
                                                   : Replication::kNone;
      break;
    }
    case "SYNC"_verb: break;  // its answer is the file
    default:
      if (is_confirmation(push_kind(reply))) subscribed_ = true;
  }
}

/// A message will not be completed: shows what there is of it.
void Redis::abandon(Reading& r, bool client, Output& out) {
  if (r.item == nullptr) return;
  Item* item = std::exchange(r.item, nullptr);
  r.resp.stop();
  if (client) {
    if (r.size == 0) return out.drop(item);
    const Value args = r.resp.so_far();
    const uint64_t verb = args.size() != 0 ? verb_id(args.elements()[0].text()) : 0;
    item->request = {command_payload("Array", args.elements(), r.resp.count(), true, in_multi_, verb, item->arena),
                     r.time, r.size, true};
  } else if (r.size == 0) {
    if (!r.from_queue) return out.drop(item);
    return InOrderMatcher::finish_without_answer(item, out);
  } else {
    item->response = {reply_payload(r.resp.type(), r.resp.so_far(), r.resp.count(), true, item->arena), r.time, r.size,
                      true};
  }
  item->outcome = Outcome::kDissection;
  item->error_message = "unexpected end of the message";
  out.finish(item);
}

bool Redis::gap(Direction direction, uint64_t, Output& out) {
  abandon(reading_[0], true, out);
  abandon(reading_[1], false, out);
  waiting_.finish_all(out);
  scanned_ = 0;
  in_multi_ = false;
  line_start_[0] = line_start_[1] = true;
  adrift_ = true;
  replied_ = false;
  return false;
}

Resync Redis::resync(const Input& in) {
  const std::string_view text = as_text(in.bytes);
  const auto digits = [&](size_t at) {
    size_t i = at;
    while (i < text.size() && i - at < 12 && text[i] >= '0' && text[i] <= '9') ++i;
    return i;
  };
  bool& line_start = line_start_[static_cast<int>(in.direction)];
  const auto wait = [&](size_t ruled_out) -> Resync {
    if (ruled_out > 0) line_start = text[ruled_out - 1] == '\n';
    return {ruled_out, false};
  };
  const auto found = [&](size_t at) -> Resync {
    line_start = true;
    return {at, true};
  };
  size_t first = 0;
  if (bool& lost_here = lost_here_[static_cast<int>(in.direction)]; lost_here && !text.empty()) {
    lost_here = false;
    first = 1;
  }
  for (size_t at = first; at < text.size();) {
    if (in.direction == Direction::kToServer) {
      if (text[at] == '*') {
        const size_t a = digits(at + 1);
        if (a > at + 1 && text.substr(a, 3) == "\r\n$") {
          const size_t b = digits(a + 3);
          if (b > a + 3 && text.substr(b, 2) == "\r\n" && b + 2 < text.size()) return found(at);
          if (b + 2 >= text.size()) return wait(at);
        } else if (a + 3 >= text.size()) {
          return wait(at);
        }
      }
    } else if (at == 0 ? line_start : text[at - 1] == '\n') {
      const char t = text[at];
      if (t == ':' || t == '$' || t == '*' || t == '%' || t == '>' || t == '~') {
        const size_t first = at + 1 < text.size() && text[at + 1] == '-' ? at + 2 : at + 1;
        const size_t a = digits(first);
        if (a > first && text.substr(a, 2) == "\r\n") return found(at);
        if (a + 2 >= text.size()) return wait(at);
      } else if (t == '+' || t == '-') {
        const std::string_view line = text.substr(at + 1, 64);
        const size_t end = line.find("\r\n");
        if (end != std::string_view::npos && end > 0 && line[0] >= 'A' && line[0] <= 'Z') return found(at);
        if (end == std::string_view::npos && text.size() - at < 65) return wait(at);
      }
    }
    const size_t next = in.direction == Direction::kToServer ? text.find('*', at + 1) : text.find('\n', at);
    if (next == std::string_view::npos) return wait(text.size());
    at = in.direction == Direction::kToServer ? next : next + 1;
  }
  return wait(text.size());
}

void Redis::expire(Timestamp before, Output& out) {
  if (waiting_.empty() || waiting_.front()->time() >= before) return;
  waiting_.finish_all(out);
  adrift_ = true;  // an answer that comes late must not go to a later command
  replied_ = false;
}

void Redis::close(bool, Output& out) {
  abandon(reading_[1], false, out);
  abandon(reading_[0], true, out);
  waiting_.finish_all(out);
}

}  // namespace baleen::dissect::redis
