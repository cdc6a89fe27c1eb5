// The messages are those of zookeeper.jute (https://github.com/apache/zookeeper), each behind its length.

#include "dissect/zookeeper/zookeeper.h"

#include "dissect/build.h"

namespace baleen::dissect::zookeeper {

using item::Field;
using item::Item;
using item::Value;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {2181};
constexpr Field kFields[] = {
    {"request.method", "zookeeper_op", kString,
     "The operation: connect, create, getData, setData, getChildren, exists, multi, ping."},
    {"request.path", "zookeeper_path", kString, "The node that it is about."},
    {"request.summary", "zookeeper_summary", kString, "The same."},
    {"request.xid", "", kInt, "Number that the reply repeats."},
    {"request.data", "", kString, "What is written."},
    {"request.version", "", kInt, "Version that the node must have; -1: any."},
    {"request.watch", "", kBool, "The client wants to be told of changes."},
    {"request.flags", "", kInt, "Kind of node: 0 persistent, 1 ephemeral, 2 sequential."},
    {"request.timeout", "", kInt, "Session time-out in milliseconds."},
    {"request.password", "", kBytes, "Password of the session that goes on.", true},
    {"request.auth", "", kString, "Credentials of addauth and SASL.", true},
    {"request.operations", "", kList, "Operations of multi: method, path, data, version."},
    {"request.acl", "", kList, "Who may do what: permissions, scheme and id."},
    {"request.watches", "", kList, "Nodes whose watches a client sets again."},
    {"request.ttl", "", kInt, "Milliseconds after which a node goes when nobody changes it."},
    {"request.readOnly", "", kBool, "The client may be served by a server without a quorum."},
    {"response.results", "", kList, "What became of each operation of multi: method and status, path or data."},
    {"response.acl", "", kList, "Who may do what with the node."},
    {"response.stat", "", kMap, "The node's version, number of children, length of data, and owner."},
    {"response.text", "", kString, "What the server answers to a word of four letters."},
    {"response.status", "zookeeper_status", kString, "OK, or the error: NoNode, BadVersion."},
    {"response.error", "", kInt, "Number of the error."},
    {"response.zxid", "", kInt, "Number of the last transaction."},
    {"response.data", "", kString, "Content of the node."},
    {"response.children", "", kList, "Names of the children."},
    {"response.path", "", kString, "The node that was created."},
    {"response.sessionId", "", kString, "The session, in hexadecimal."},
    {"response.password", "", kBytes, "Password of the session.", true},
    {"data.event", "", kString, "What a watch tells: created, deleted, changed, child."},
    {"data.path", "", kString, "Where."},
};

constexpr Name kOperations[] = {
    {0, "notification"},
    {1, "create"},
    {2, "delete"},
    {3, "exists"},
    {4, "getData"},
    {5, "setData"},
    {6, "getACL"},
    {7, "setACL"},
    {8, "getChildren"},
    {9, "sync"},
    {11, "ping"},
    {12, "getChildren2"},
    {13, "check"},
    {14, "multi"},
    {15, "create2"},
    {16, "reconfig"},
    {17, "checkWatches"},
    {18, "removeWatches"},
    {19, "createContainer"},
    {20, "deleteContainer"},
    {21, "createTTL"},
    {22, "multiRead"},
    {100, "auth"},
    {101, "setWatches"},
    {102, "sasl"},
    {103, "getEphemerals"},
    {104, "getAllChildrenNumber"},
    {105, "setWatches2"},
    {106, "addWatch"},
    {107, "whoAmI"},
    {static_cast<uint32_t>(-11), "closeSession"},
};
constexpr Name kErrors[] = {
    {0, "OK"},
    {1, "SystemError"},
    {2, "RuntimeInconsistency"},
    {3, "DataInconsistency"},
    {4, "ConnectionLoss"},
    {5, "MarshallingError"},
    {6, "Unimplemented"},
    {7, "OperationTimeout"},
    {8, "BadArguments"},
    {101, "NoNode"},
    {102, "NoAuth"},
    {103, "BadVersion"},
    {108, "NoChildrenForEphemerals"},
    {110, "NodeExists"},
    {111, "NotEmpty"},
    {112, "SessionExpired"},
    {113, "InvalidCallback"},
    {114, "InvalidACL"},
    {115, "AuthFailed"},
    {118, "SessionMoved"},
    {119, "NotReadOnly"},
    {109, "SessionClosed"},
    {120, "EphemeralOnLocalSession"},
    {121, "NoWatcher"},
    {122, "RequestTimeout"},
    {123, "ReconfigDisabled"},
    {124, "SessionClosedRequireSaslAuth"},
    {125, "QuotaExceeded"},
    {127, "Throttled"},
};
constexpr Name kEvents[] = {{1, "created"}, {2, "deleted"},          {3, "changed"},
                            {4, "child"},   {5, "dataWatchRemoved"}, {6, "childWatchRemoved"}};

// Words that administrators send instead of a session (zookeeperAdmin, "The Four Letter Words").
constexpr std::string_view kWords[] = {"ruok", "stat", "srvr", "mntr", "conf", "cons", "crst", "dump", "envi", "srst",
                                       "wchs", "wchc", "wchp", "dirs", "isro", "gtmk", "stmk", "hash", "icfg", "lsnp"};
constexpr size_t kMaxText = 64 << 10;

constexpr uint32_t kMost = 16 << 20;
constexpr uint32_t kConnect = 1000;  // not an operation of the protocol: the session's opening
constexpr int32_t kWatchXid = -1;

std::string_view buffer(ByteReader& r) {
  const int32_t n = static_cast<int32_t>(r.be32());
  return n < 0 ? std::string_view() : r.text(static_cast<size_t>(n));
}
bool has_path(uint32_t op) {
  return (op >= 1 && op <= 9) || op == 12 || op == 13 || op == 15 || (op >= 17 && op <= 21) || op == 104 || op == 106;
}

Value text_of(ByteReader& r, bool cut = false) { return text_or_bytes(buffer(r), cut); }

Value read_acl(ByteReader& r, Arena& arena) {
  ListOf list(arena);
  const int32_t n = static_cast<int32_t>(r.be32());
  for (int32_t i = 0; i < n && r.ok(); ++i) {
    MapOf one(arena);
    one.add("permissions", static_cast<int64_t>(r.be32()));
    one.add("scheme", text_of(r));
    one.add("id", text_of(r));
    if (r.ok()) list.push(one.build());
  }
  return list.build();
}

/// 68 bytes.
Value read_stat(ByteReader& r, Arena& arena) {
  MapOf map(arena);
  map.add("czxid", static_cast<int64_t>(r.be64()));
  map.add("mzxid", static_cast<int64_t>(r.be64()));
  map.add("ctime", static_cast<int64_t>(r.be64()));
  map.add("mtime", static_cast<int64_t>(r.be64()));
  map.add("version", static_cast<int64_t>(static_cast<int32_t>(r.be32())));
  map.add("cversion", static_cast<int64_t>(static_cast<int32_t>(r.be32())));
  map.add("aversion", static_cast<int64_t>(static_cast<int32_t>(r.be32())));
  map.add("ephemeralOwner", hex(r.bytes(8), arena));
  map.add("dataLength", static_cast<int64_t>(r.be32()));
  map.add("numChildren", static_cast<int64_t>(r.be32()));
  map.add("pzxid", static_cast<int64_t>(r.be64()));
  return map.build();
}

Value read_names(ByteReader& r, Arena& arena) {
  ListOf list(arena);
  const int32_t n = static_cast<int32_t>(r.be32());
  for (int32_t i = 0; i < n && r.ok(); ++i) {
    const Value name = text_of(r);
    if (r.ok()) list.push(name);
  }
  return list.build();
}

/// What an operation says behind its path.
void describe_operation(uint32_t op, ByteReader& r, bool cut, MapOf& map, Arena& arena) {
  switch (op) {
    case 1:
    case 15:
    case 19:
    case 21:  // create, create2, createContainer, createTTL
      map.add("data", text_of(r, cut));
      map.add("acl", read_acl(r, arena));
      if (r.remaining() >= 4) map.add("flags", static_cast<int64_t>(r.be32()));
      if (op == 21 && r.remaining() >= 8) map.add("ttl", static_cast<int64_t>(r.be64()));
      break;
    case 7:  // setACL
      map.add("acl", read_acl(r, arena));
      if (r.remaining() >= 4) map.add("version", static_cast<int64_t>(static_cast<int32_t>(r.be32())));
      break;
    case 5: map.add("data", text_of(r, cut)); [[fallthrough]];
    case 2:
    case 13:  // setData, delete, check
      if (r.remaining() >= 4) map.add("version", static_cast<int64_t>(static_cast<int32_t>(r.be32())));
      break;
    case 3:
    case 4:
    case 8:
    case 12:  // exists, getData, getChildren, getChildren2
      if (!r.at_end()) map.add("watch", r.u8() != 0);
      break;
    case 17:
    case 18:
    case 106:  // checkWatches, removeWatches, addWatch
      if (r.remaining() >= 4) map.add("mode", static_cast<int64_t>(r.be32()));
      break;
    default: break;
  }
}

/// What an operation that succeeded brings.
void describe_result(uint32_t op, ByteReader& r, bool cut, MapOf& map, Arena& arena) {
  switch (op) {
    case 1:
    case 9: map.add("path", text_of(r)); break;
    case 15:
    case 19:
    case 21:
      map.add("path", text_of(r));
      if (r.remaining() >= 68) map.add("stat", read_stat(r, arena));
      break;
    case 3:
    case 5:
    case 7:
      if (r.remaining() >= 68) map.add("stat", read_stat(r, arena));
      break;
    case 4:
      map.add("data", text_of(r, cut));
      if (r.remaining() >= 68) map.add("stat", read_stat(r, arena));
      break;
    case 6:
      map.add("acl", read_acl(r, arena));
      if (r.remaining() >= 68) map.add("stat", read_stat(r, arena));
      break;
    case 8:
    case 103: map.add("children", read_names(r, arena)); break;
    case 12:
      map.add("children", read_names(r, arena));
      if (r.remaining() >= 68) map.add("stat", read_stat(r, arena));
      break;
    case 104: map.add("count", static_cast<int64_t>(r.be32())); break;
    case 107: {  // whoAmI
      ListOf list(arena);
      const int32_t n = static_cast<int32_t>(r.be32());
      for (int32_t i = 0; i < n && r.ok(); ++i) {
        const std::string_view scheme = buffer(r), user = buffer(r);
        if (r.ok() && is_text(scheme) && is_text(user)) list.push(join({scheme, ":", user}, arena));
      }
      map.add("clients", list.build());
      break;
    }
    default: break;
  }
}

std::string_view operation_name(uint32_t op, Arena& arena) {
  const std::string_view name = name_in(kOperations, op);
  return name.empty() ? decimal(op, arena) : name;
}

/// The operations of multi, each behind a MultiHeader of type, done and error.
Value read_operations(ByteReader& r, bool cut, Arena& arena) {
  ListOf list(arena);
  while (r.ok() && !r.at_end()) {
    const uint32_t op = r.be32();
    const bool done = r.u8() != 0;
    r.be32();
    if (!r.ok() || done) break;
    MapOf one(arena);
    one.add("method", operation_name(op, arena));
    one.add("path", text_of(r));
    describe_operation(op, r, cut, one, arena);
    if (r.ok()) list.push(one.build());
  }
  return list.build();
}

std::string_view status_name(int32_t error, Arena& arena) {
  const auto code = static_cast<uint32_t>(-static_cast<int64_t>(error));
  const std::string_view name = name_in(kErrors, code);
  return name.empty() ? decimal(code, arena) : name;
}

Value read_results(ByteReader& r, bool cut, Arena& arena) {
  ListOf list(arena);
  while (r.ok() && !r.at_end()) {
    const uint32_t op = r.be32();
    const bool done = r.u8() != 0;
    int32_t error = static_cast<int32_t>(r.be32());
    if (!r.ok() || done) break;
    MapOf one(arena);
    if (op == UINT32_MAX) {
      error = static_cast<int32_t>(r.be32());
    } else {
      one.add("method", operation_name(op, arena));
    }
    one.add("status", status_name(error, arena));
    if (error == 0) describe_result(op, r, cut, one, arena);
    if (r.ok()) list.push(one.build());
  }
  return list.build();
}

/// A word of four letters, alone or in a line; -1: more bytes could tell.
int is_word(Bytes b, bool end) {
  const std::string_view t = as_text(b);
  for (const std::string_view w : kWords) {
    if (!w.starts_with(t.substr(0, 4))) continue;
    if (t.size() < 4) return end ? 0 : -1;
    if (t.size() == 4) return end ? 1 : -1;
    // With nothing behind it, which its end alone tells, or the answer.
    return t.substr(4) == "\n" || t.substr(4) == "\r\n" || t.substr(4) == "\r" ? (end ? 1 : -1) : 0;
  }
  return 0;
}

/// The beginning of an answer to one that no other protocol's could be.
int is_answer_to_word(Bytes b) {
  const std::string_view t = as_text(b);
  for (const std::string_view w : {"imok", "zk_version\t", "Zookeeper version: ", "clientPort=", "Environment:\n"}) {
    if (t.starts_with(w)) return 1;
    if (w.starts_with(t)) return -1;
  }
  return 0;
}

/// A ConnectRequest or ConnectResponse: version 0, 16 bytes of password, perhaps a byte for read-only.
Probe opening(Direction d, Bytes b) {
  const size_t least = d == Direction::kToServer ? 44 : 36;
  if (b.size() < 4) return b.empty() || b[0] == 0 ? Probe::kUnsure : Probe::kNo;
  const uint32_t size = load_be32(b.data());
  if (size != least && size != least + 1) return Probe::kNo;
  if (b.size() < size + 4) return b.size() >= 8 && load_be32(&b[4]) != 0 ? Probe::kNo : Probe::kUnsure;
  ByteReader r(b.subspan(4));
  if (r.be32() != 0) return Probe::kNo;
  if (d == Direction::kToServer) r.skip(8);
  const int32_t timeout = static_cast<int32_t>(r.be32());
  r.skip(8);
  return r.be32() == 16 && timeout >= 0 && timeout < 100'000'000 ? Probe::kYes : Probe::kNo;
}

}  // namespace

const item::Protocol Zookeeper::kProtocol = {
    .name = "zookeeper",
    .version = "3",
    .abbreviation = "ZK",
    .long_name = "Apache ZooKeeper Protocol",
    .macro = "zookeeper",
    .reference = "https://zookeeper.apache.org/doc/current/zookeeperProgrammers.html",
    .background = "#5c6b2a",
    .foreground = "#ffffff",
    .priority = 10,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.method",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

Probe Zookeeper::probe(const Input& in) {
  const Bytes b = in.bytes;
  if (b.empty()) return Probe::kUnsure;
  if (b[0] != 0) {
    const int word = in.direction == Direction::kToServer ? is_word(b, in.end_of_stream) : is_answer_to_word(b);
    return word > 0 ? Probe::kYes : word < 0 && !in.end_of_stream ? Probe::kUnsure : Probe::kNo;
  }
  const Probe first = opening(in.direction, b);
  if (first != Probe::kNo || in.direction == Direction::kToClient) return first;
  // In the middle: an operation on a path.
  if (b.size() < 4) return b.empty() || b[0] == 0 ? Probe::kUnsure : Probe::kNo;
  const uint32_t size = load_be32(b.data());
  if (size < 12 || size > 1 << 20 || b[0] != 0) return Probe::kNo;
  if (b.size() < 17) return Probe::kUnsure;
  const uint32_t op = load_be32(&b[8]), path = load_be32(&b[12]);
  if (!has_path(op) || path == 0 || path > 1024 || path + 12 > size || b[16] != '/' ||
      static_cast<int32_t>(load_be32(&b[4])) <= 0)
    return Probe::kNo;
  if (b.size() < size_t{16} + path) return Probe::kUnsure;
  return is_text(as_text(b.subspan(16, path))) ? Probe::kYes : Probe::kNo;
}

Measure Zookeeper::measure(Direction, Bytes b) const {
  if (b.size() < 4) return Measure::need(4);
  const uint32_t size = load_be32(b.data());
  return size < 8 || size > kMost ? Measure::bad() : Measure::frame(uint64_t{size} + 4);
}

Probe Zookeeper::begins(Direction d, Bytes b) const {
  if (d == Direction::kToServer) return probe({d, b, {}, false});
  if (b[0] != 0) return Probe::kNo;  // no message is that long
  if (b.size() < 20) return Probe::kUnsure;
  const uint32_t size = load_be32(b.data()), xid = load_be32(&b[4]);
  if (size < 16 || size > kMost) return Probe::kNo;
  for (const Item* i = waiting_.front(); i != nullptr; i = i->next)
    if (static_cast<uint32_t>(i->match_key) == xid) return Probe::kYes;
  return Probe::kNo;
}

Step Zookeeper::dissect(const Input& in, Output& out) {
  const bool asks = in.direction == Direction::kToServer;
  if (word_ != nullptr) return asks ? Step::took(in.bytes.size()) : answer_to_word(in, out);
  if (in.bytes.empty() || in.bytes[0] == 0) return Framed::dissect(in, out);  // no message is that long
  if (asks && is_word(in.bytes.first(std::min<size_t>(in.bytes.size(), 4)), true) > 0) return word(in, out);
  const int answer = asks ? 0 : is_answer_to_word(in.bytes);
  if (answer > 0) return answer_to_word(in, out);
  const bool more = in.bytes.size() < 4 || answer < 0;
  return more && !in.end_of_stream ? Step::need(in.bytes.size() + 1) : Framed::dissect(in, out);
}

/// The connection has this one question, and its end is that of the answer.
Step Zookeeper::word(const Input& in, Output& out) {
  Item* const item = word_ = out.begin(kProtocol);
  const std::string_view text = item->arena.copy(as_text(in.bytes).substr(0, 4));
  MapOf map(item->arena);
  map.add("method", text);
  map.add("summary", "");
  item->request = {map.build(), in.time, 4, true};
  return Step::took(4);
}

Step Zookeeper::answer_to_word(const Input& in, Output& out) {
  if (in.bytes.empty()) return Step::need();
  if (word_ == nullptr) word_ = begin_orphan(kProtocol, out);
  item::Message& answer = word_->response;
  if (!answer.present) answer = {{}, in.time, 0, true};
  answer.size += in.bytes.size();
  const std::string_view more = as_text(in.bytes).substr(0, kMaxText - kept_);
  if (more.size() < in.bytes.size()) out.count(Counter::kBodyCapped);
  if (kept_ + more.size() > room_) {
    room_ = std::max(kept_ + more.size(), room_ * 2);
    char* const wider = static_cast<char*>(word_->arena.allocate(room_, 1));
    std::copy(text_, text_ + kept_, wider);
    text_ = wider;
  }
  std::copy(more.begin(), more.end(), text_ + kept_);
  kept_ += more.size();
  return Step::took(in.bytes.size());
}

void Zookeeper::close(bool reset, Output& out) {
  Item* const item = std::exchange(word_, nullptr);
  if (item != nullptr && item->response.present) {
    MapOf map(item->arena);
    map.add("status", "OK");
    map.add("text", text_or_bytes({text_, kept_}, true));
    if (kept_ < item->response.size) map.add("truncated", true);
    item->response.payload = map.build();
    out.finish(item);
  } else if (item != nullptr) {
    InOrderMatcher::finish_without_answer(item, out);
  }
  Framed::close(reset, out);
}

Step Zookeeper::message(const Frame& frame, Output& out) {
  return frame.to_server() ? request(frame, out) : reply(frame, out);
}

Step Zookeeper::request(const Frame& frame, Output& out) {
  Item* const item = out.begin(kProtocol);
  Arena& arena = item->arena;
  ByteReader r(item->arena.copy(frame.bytes));
  MapOf map(arena);
  r.skip(4);
  uint32_t op = kConnect, xid = 0;
  std::string_view summary;
  if (opening(Direction::kToServer, frame.bytes) == Probe::kYes) {
    r.skip(4);
    map.add("method", "connect");
    map.add("lastZxid", static_cast<int64_t>(r.be64()));
    map.add("timeout", static_cast<int64_t>(r.be32()));
    map.add("sessionId", hex(r.bytes(8), arena));
    map.add("password", Value::bytes(as_bytes(buffer(r))));
    if (!r.at_end()) map.add("readOnly", r.u8() != 0);
  } else {
    xid = r.be32();
    op = r.be32();
    map.add("method", operation_name(op, arena));
    map.add("xid", static_cast<int64_t>(static_cast<int32_t>(xid)));
    if (has_path(op)) {
      summary = buffer(r);
      map.add("path", text_or_bytes(summary));
    }
    describe_operation(op, r, frame.cut, map, arena);
    switch (op) {
      case 14:
      case 22: {  // multi, multiRead
        const Value operations = read_operations(r, frame.cut, arena);
        map.add("operations", operations);
        if (operations.size() > 0) summary = operations.elements()[0]["path"].text();
        break;
      }
      case 100:
        r.be32();
        map.add("scheme", text_of(r));
        map.add("auth", text_of(r));
        break;
      case 101:
      case 105: {  // setWatches: of data, of existence, of children
        map.add("zxid", static_cast<int64_t>(r.be64()));
        ListOf all(arena);
        for (int kind = 0; kind < (op == 105 ? 5 : 3) && r.ok(); ++kind)
          for (const Value& path : read_names(r, arena).elements()) all.push(path);
        map.add("watches", all.build());
        break;
      }
      case 102: map.add("auth", text_of(r)); break;
      case 103:
        summary = buffer(r);
        map.add("path", text_or_bytes(summary));
        break;
      default: break;
    }
  }
  map.add("summary", text_or_bytes(summary));
  if (frame.cut) map.add("truncated", true);
  set(item->request, map.build(), frame);
  if (!r.ok() && !frame.cut) mark_malformed(item, "fields of the request are missing", out);
  item->match_key = uint64_t{op} << 32 | xid;
  waiting_.push(item, out);
  return Step::took(frame.size);
}

Step Zookeeper::reply(const Frame& frame, Output& out) {
  const bool first = !waiting_.empty() && waiting_.front()->match_key >> 32 == kConnect &&
                     opening(Direction::kToClient, frame.bytes) == Probe::kYes;
  if (!first && frame.bytes.size() < 20) return Step::lost();
  const uint32_t xid = first ? 0 : load_be32(&frame.bytes[4]);
  const bool event = !first && static_cast<int32_t>(xid) == kWatchXid;
  const auto wanted = [xid](const Item* i) { return static_cast<uint32_t>(i->match_key) == xid; };
  Item* item = event                               ? out.begin(kProtocol)
               : waiting_.empty()                  ? nullptr
               : first || wanted(waiting_.front()) ? waiting_.pop()
                                                   : waiting_.take_after_front(wanted);
  if (item == nullptr) item = begin_orphan(kProtocol, out);
  Arena& arena = item->arena;
  ByteReader r(arena.copy(frame.bytes));
  r.skip(4);
  MapOf map(arena);
  if (first) {
    r.skip(4);
    const uint32_t timeout = r.be32();
    map.add("timeout", static_cast<int64_t>(timeout));
    map.add("sessionId", hex(r.bytes(8), arena));
    map.add("password", Value::bytes(as_bytes(buffer(r))));
    map.add("status", timeout == 0 ? "SessionExpired" : "OK");
    set(item->response, map.build(), frame);
    out.finish(item);
    return Step::took(frame.size);
  }
  r.be32();
  const int64_t zxid = static_cast<int64_t>(r.be64());
  const int32_t error = static_cast<int32_t>(r.be32());
  if (event) {
    const uint32_t type = r.be32(), state = r.be32();
    const std::string_view name = name_in(kEvents, type);
    map.add("event", name.empty() ? decimal(type, arena) : name);
    map.add("state", static_cast<int64_t>(static_cast<int32_t>(state)));
    map.add("path", text_or_bytes(buffer(r)));
    set(item->data, map.build(), frame);
    finish_single(item, out);
    return Step::took(frame.size);
  }
  map.add("zxid", zxid);
  map.add("error", static_cast<int64_t>(error));
  map.add("status", status_name(error, arena));
  const auto op = static_cast<uint32_t>(item->match_key >> 32);
  if (item->request.present && (op == 14 || op == 22)) {
    map.add("results", read_results(r, frame.cut, arena));
  } else if (error == 0 && item->request.present) {
    describe_result(op, r, frame.cut, map, arena);
  }
  if (frame.cut) map.add("truncated", true);
  set(item->response, map.build(), frame);
  out.finish(item);
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::zookeeper
