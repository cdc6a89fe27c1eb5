#include "dissect/redis/command.h"

#include <algorithm>
#include <array>

namespace baleen::dissect::redis {

using item::Value;

namespace {
constexpr uint64_t operator""_verb(const char* s, size_t n) { return verb_id({s, n}); }

size_t find_word(std::span<const Value> args, size_t from, std::string_view upper) {
  for (size_t i = from; i < args.size(); ++i)
    if (same_word(args[i].text(), upper)) return i;
  return args.size();
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
  const auto key_at = [&](size_t i) { c.key = text(i); };
  switch (verb) {
    // One key, one value: the everyday writes.
    case "SET"_verb:
    case "SETNX"_verb:
    case "GETSET"_verb:
    case "APPEND"_verb:
    case "LPUSH"_verb:
    case "RPUSH"_verb:
    case "LPUSHX"_verb:
    case "RPUSHX"_verb:
    case "SADD"_verb:
    case "SREM"_verb:
    case "PUBLISH"_verb:
    case "SPUBLISH"_verb:
    case "INCRBY"_verb:
    case "DECRBY"_verb:
    case "EXPIRE"_verb:
    case "PEXPIRE"_verb:
    case "EXPIREAT"_verb:
    case "RENAME"_verb:
    case "RENAMENX"_verb:
      key_at(1);
      if (args.size() > 2) c.value = args[2];
      return c;
    case "SETEX"_verb:
    case "PSETEX"_verb:
    case "HSET"_verb:
    case "HSETNX"_verb:
    case "HMSET"_verb:
    case "LSET"_verb:
    case "ZADD"_verb:
    case "SETRANGE"_verb:
    case "SETBIT"_verb:
    case "ZINCRBY"_verb:
    case "HINCRBY"_verb:
      key_at(1);
      if (args.size() > 3) c.value = args[3];
      return c;
    case "PING"_verb:
    case "ECHO"_verb:
      if (args.size() > 1) c.value = args[1];
      return c;
    case "AUTH"_verb:
      c.secret_first = args.size() > 2 ? 2 : 1;
      c.secret_count = 1;
      if (args.size() > 2) c.user = text(1);
      return c;
    case "HELLO"_verb:
      if (const size_t at = find_word(args, 1, "AUTH"); at + 2 < args.size()) {
        c.user = text(at + 1);
        c.secret_first = static_cast<uint32_t>(at + 2);
        c.secret_count = 1;
      }
      return c;
    case "MULTI"_verb:
    case "EXEC"_verb:
    case "DISCARD"_verb:
    case "UNWATCH"_verb:
    case "QUIT"_verb:
    case "INFO"_verb:
    case "SELECT"_verb:
    case "DBSIZE"_verb:
    case "FLUSHDB"_verb:
    case "FLUSHALL"_verb:
    case "MONITOR"_verb:
    case "SAVE"_verb:
    case "BGSAVE"_verb:
    case "LASTSAVE"_verb:
    case "TIME"_verb:
    case "RESET"_verb:
    case "ROLE"_verb:
    case "WAIT"_verb:
    case "WAITAOF"_verb:
    case "SYNC"_verb:
    case "PSYNC"_verb:
    case "ASKING"_verb:
    case "READONLY"_verb:
    case "SHUTDOWN"_verb:
    case "SWAPDB"_verb:
    case "SCAN"_verb:
    case "KEYS"_verb:
    case "REPLCONF"_verb: return c;
    case "COMMAND"_verb:
    case "CLUSTER"_verb:
    case "SCRIPT"_verb:
    case "FUNCTION"_verb:
    case "LATENCY"_verb:
    case "SLOWLOG"_verb:
    case "PUBSUB"_verb:
    case "MODULE"_verb:
    case "CLIENT"_verb:
    case "DEBUG"_verb:
    case "SENTINEL"_verb: c.keyword = text(1); return c;
    case "CONFIG"_verb:
      c.keyword = text(1);
      if (same_word(c.keyword, "SET"))
        for (size_t i = 2; i + 1 < args.size(); i += 2)
          if (same_word(text(i), "REQUIREPASS") || same_word(text(i), "MASTERAUTH") ||
              same_word(text(i), "TLS-KEY-FILE-PASS")) {
            c.secret_first = static_cast<uint32_t>(i + 1);
            c.secret_count = 1;
          }
      return c;
    case "ACL"_verb:
      c.keyword = text(1);
      if (same_word(c.keyword, "SETUSER") && args.size() > 3) {  // its rules may be ">password"
        c.user = text(2);
        c.secret_first = 3;
        c.secret_count = static_cast<uint32_t>(args.size() - 3);
      }
      return c;
    case "OBJECT"_verb:
    case "MEMORY"_verb:
    case "XINFO"_verb:
    case "XGROUP"_verb:
    case "BITOP"_verb:
      c.keyword = text(1);
      key_at(2);
      return c;
    case "EVAL"_verb:
    case "EVALSHA"_verb:
    case "FCALL"_verb:
    case "EVAL_RO"_verb:
    case "FCALL_RO"_verb:
      if (args.size() > 3 && text(2) != "0") key_at(3);
      return c;
    case "XREAD"_verb: key_at(find_word(args, 1, "STREAMS") + 1); return c;
    case "MIGRATE"_verb:
      key_at(3);
      if (const size_t at = find_word(args, 5, "AUTH"); at + 1 < args.size()) {
        c.secret_first = static_cast<uint32_t>(at + 1);
        c.secret_count = 1;
      } else if (const size_t at2 = find_word(args, 5, "AUTH2"); at2 + 2 < args.size()) {
        c.user = text(at2 + 1);
        c.secret_first = static_cast<uint32_t>(at2 + 2);
        c.secret_count = 1;
      }
      return c;
    case 0:
      if (same_word(text(0), "XREADGROUP")) {
        key_at(find_word(args, 1, "STREAMS") + 1);
        return c;
      }
      if (same_word(text(0), "EVALSHA_RO")) {
        if (args.size() > 3 && text(2) != "0") key_at(3);
        return c;
      }
      for (const std::string_view keyless : {"BGREWRITEAOF", "SLAVEOF", "REPLICAOF", "READWRITE", "UNSUBSCRIBE_ALL"})
        if (same_word(text(0), keyless)) return c;
      break;
    default: break;
  }
  key_at(1);
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
