#include "dissect/redis/command.h"

#include <algorithm>
#include <array>
#include <utility>

namespace baleen::dissect::redis {

using item::Value;

namespace {

/// Where a command has its key and what is written under it; the verb is argument 0.
enum class Shape : uint8_t {
  kKey,            // GET key: most of them, and those that nobody knows
  kNone,           // PING, and those whose arguments are no keys
  kValue,          // ECHO value
  kKeyValue,       // SET key value
  kKeyFieldValue,  // HSET key field value
  kKeyword,        // CLIENT LIST
  kKeywordKey,     // OBJECT ENCODING key
  kScript,         // EVAL script number key
  kStreams,        // XREAD ... STREAMS key
  kAuth,
  kHello,
  kConfig,
  kAcl,
  kMigrate,
};

struct Verbs {
  Shape shape;
  std::string_view all;
};
// Of more than eight letters: see long_shape().
constexpr Verbs kVerbs[] = {
    {Shape::kNone,
     "MULTI EXEC DISCARD UNWATCH QUIT INFO SELECT DBSIZE FLUSHDB FLUSHALL MONITOR SAVE BGSAVE LASTSAVE TIME RESET ROLE "
     "WAIT WAITAOF SYNC PSYNC ASKING READONLY SHUTDOWN SWAPDB SCAN KEYS REPLCONF SLAVEOF"},
    {Shape::kValue, "PING ECHO"},
    {Shape::kKeyValue,
     "SET SETNX GETSET APPEND LPUSH RPUSH LPUSHX RPUSHX SADD SREM PUBLISH SPUBLISH INCRBY DECRBY EXPIRE PEXPIRE "
     "EXPIREAT RENAME RENAMENX"},
    {Shape::kKeyFieldValue, "SETEX PSETEX HSET HSETNX HMSET LSET ZADD SETRANGE SETBIT ZINCRBY HINCRBY"},
    {Shape::kKeyword, "COMMAND CLUSTER SCRIPT FUNCTION LATENCY SLOWLOG PUBSUB MODULE CLIENT DEBUG SENTINEL"},
    {Shape::kKeywordKey, "OBJECT MEMORY XINFO XGROUP BITOP"},
    {Shape::kScript, "EVAL EVALSHA FCALL EVAL_RO FCALL_RO"},
    {Shape::kStreams, "XREAD"},
    {Shape::kAuth, "AUTH"},
    {Shape::kHello, "HELLO"},
    {Shape::kConfig, "CONFIG"},
    {Shape::kAcl, "ACL"},
    {Shape::kMigrate, "MIGRATE"},
};

/// Shapes by verb_id(): a table with empty places, which are zero.
class Shapes {
 public:
  constexpr Shapes() {
    for (const Verbs& group : kVerbs)
      for (std::string_view rest = group.all; !rest.empty();) {
        const size_t end = std::min(rest.find(' '), rest.size());
        Place& place = at(verb_id(rest.substr(0, end)));
        place = {verb_id(rest.substr(0, end)), group.shape};
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
  }
  constexpr Shape of(uint64_t verb) const { return at(verb).shape; }

 private:
  struct Place {
    uint64_t verb = 0;
    Shape shape = Shape::kKey;
  };
  static constexpr size_t kPlaces = 512;
  /// That of the verb, or an empty one.
  constexpr const Place& at(uint64_t verb) const {
    size_t i = static_cast<size_t>(verb * 0x9E3779B97F4A7C15 >> 55);
    while (places_[i].verb != verb && places_[i].verb != 0) i = (i + 1) % kPlaces;
    return places_[i];
  }
  constexpr Place& at(uint64_t verb) { return const_cast<Place&>(std::as_const(*this).at(verb)); }
  std::array<Place, kPlaces> places_{};
};
constexpr Shapes kShapes;

/// Of verbs that have no verb_id().
Shape long_shape(std::string_view verb) {
  if (same_word(verb, "XREADGROUP")) return Shape::kStreams;
  if (same_word(verb, "EVALSHA_RO")) return Shape::kScript;
  for (const std::string_view keyless : {"BGREWRITEAOF", "REPLICAOF", "READWRITE", "UNSUBSCRIBE_ALL"})
    if (same_word(verb, keyless)) return Shape::kNone;
  return Shape::kKey;
}

size_t find_word(std::span<const Value> args, size_t from, std::string_view upper) {
  for (size_t i = from; i < args.size(); ++i)
    if (same_word(args[i].text(), upper)) return i;
  return args.size();
}

/// One argument that is a password.
void hide(Command& c, size_t argument) {
  c.secret_first = static_cast<uint32_t>(argument);
  c.secret_count = 1;
}

/// AUTH password, or AUTH user password.
void read_auth(Command& c, std::span<const Value> args) {
  hide(c, args.size() > 2 ? 2 : 1);
  if (args.size() > 2) c.user = args[1].text();
}

/// `word` user password, somewhere from `from` on. False: it is not there.
bool read_login(Command& c, std::span<const Value> args, size_t from, std::string_view word) {
  const size_t at = find_word(args, from, word);
  if (at + 2 >= args.size()) return false;
  c.user = args[at + 1].text();
  hide(c, at + 2);
  return true;
}

void read_config(Command& c, std::span<const Value> args) {
  if (!same_word(c.keyword, "SET")) return;
  for (size_t i = 2; i + 1 < args.size(); i += 2)
    for (const std::string_view secret : {"REQUIREPASS", "MASTERAUTH", "TLS-KEY-FILE-PASS"})
      if (same_word(args[i].text(), secret)) hide(c, i + 1);
}

/// The rules of ACL SETUSER may be ">password".
void read_acl(Command& c, std::span<const Value> args) {
  if (!same_word(c.keyword, "SETUSER") || args.size() <= 3) return;
  c.user = args[2].text();
  c.secret_first = 3;
  c.secret_count = static_cast<uint32_t>(args.size() - 3);
}

void read_migrate(Command& c, std::span<const Value> args) {
  if (const size_t at = find_word(args, 5, "AUTH"); at + 1 < args.size()) {
    hide(c, at + 1);
  } else {
    read_login(c, args, 5, "AUTH2");
  }
}

}  // namespace

bool same_word(std::string_view a, std::string_view upper) {
  return a.size() == upper.size() && std::equal(a.begin(), a.end(), upper.begin(), [](char x, char y) {
           return (x >= 'a' && x <= 'z' ? x - 32 : x) == y;
         });
}

Command understand(uint64_t verb, std::span<const Value> args) {
  Command c;
  const auto text = [&](size_t i) { return i < args.size() ? args[i].text() : std::string_view(); };
  const auto value = [&](size_t i) { return i < args.size() ? args[i] : Value(); };
  switch (verb != 0 ? kShapes.of(verb) : long_shape(text(0))) {
    case Shape::kNone: break;
    case Shape::kValue: c.value = value(1); break;
    case Shape::kKeyValue: c.key = text(1), c.value = value(2); break;
    case Shape::kKeyFieldValue: c.key = text(1), c.value = value(3); break;
    case Shape::kKeyword: c.keyword = text(1); break;
    case Shape::kKeywordKey: c.keyword = text(1), c.key = text(2); break;
    case Shape::kScript:
      if (args.size() > 3 && text(2) != "0") c.key = text(3);
      break;
    case Shape::kStreams: c.key = text(find_word(args, 1, "STREAMS") + 1); break;
    case Shape::kAuth: read_auth(c, args); break;
    case Shape::kHello: read_login(c, args, 1, "AUTH"); break;
    case Shape::kConfig: c.keyword = text(1), read_config(c, args); break;
    case Shape::kAcl: c.keyword = text(1), read_acl(c, args); break;
    case Shape::kMigrate: c.key = text(3), read_migrate(c, args); break;
    case Shape::kKey: c.key = text(1); break;
  }
  return c;
}

bool only_ours(std::string_view verb) {
  static constexpr std::array<std::string_view, 30> kVerbs = {
      "APPEND",  "BLPOP", "BRPOP", "DBSIZE", "EXISTS",   "EXPIRE",     "FLUSHALL", "FLUSHDB", "HDEL",    "HGET",
      "HGETALL", "HMSET", "HSET",  "LLEN",   "LPOP",     "LPUSH",      "LRANGE",   "MGET",    "MONITOR", "MSET",
      "PSYNC",   "RPOP",  "RPUSH", "SADD",   "SMEMBERS", "PSUBSCRIBE", "ZADD",     "ZRANGE",  "XADD",    "REPLCONF"};
  return std::any_of(kVerbs.begin(), kVerbs.end(), [verb](std::string_view v) { return same_word(verb, v); });
}

}  // namespace baleen::dissect::redis
