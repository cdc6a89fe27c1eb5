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
    {"request.auth", "", kString, "Credentials of addauth.", true},
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
};
constexpr Name kEvents[] = {{1, "created"}, {2, "deleted"}, {3, "changed"}, {4, "child"}};

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
  if (b.size() < 20) return b[0] == 0 ? Probe::kUnsure : Probe::kNo;
  const uint32_t size = load_be32(b.data()), xid = load_be32(&b[4]);
  if (size < 16 || size > kMost) return Probe::kNo;
  for (const Item* i = waiting_.front(); i != nullptr; i = i->next)
    if (static_cast<uint32_t>(i->match_key) == xid) return Probe::kYes;
  return Probe::kNo;
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
  } else {
    xid = r.be32();
    op = r.be32();
    const std::string_view name = name_in(kOperations, op);
    map.add("method", name.empty() ? decimal(op, arena) : name);
    map.add("xid", static_cast<int64_t>(static_cast<int32_t>(xid)));
    if (has_path(op)) {
      summary = buffer(r);
      map.add("path", text_or_bytes(summary));
    }
    switch (op) {
      case 1:
      case 15:
      case 19:
      case 21: {
        map.add("data", text_or_bytes(buffer(r), frame.cut));
        const int32_t acls = static_cast<int32_t>(r.be32());
        for (int32_t i = 0; i < acls && r.ok(); ++i) {
          r.be32();
          buffer(r);
          buffer(r);
        }
        if (r.remaining() >= 4) map.add("flags", static_cast<int64_t>(r.be32()));
        break;
      }
      case 5: map.add("data", text_or_bytes(buffer(r), frame.cut)); [[fallthrough]];
      case 2:
      case 13:
        if (r.remaining() >= 4) map.add("version", static_cast<int64_t>(static_cast<int32_t>(r.be32())));
        break;
      case 3:
      case 4:
      case 8:
      case 12:
        if (!r.at_end()) map.add("watch", r.u8() != 0);
        break;
      case 100:
        r.be32();
        map.add("scheme", text_or_bytes(buffer(r)));
        map.add("auth", text_or_bytes(buffer(r)));
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
  const std::string_view name = name_in(kErrors, static_cast<uint32_t>(-static_cast<int64_t>(error)));
  map.add("zxid", zxid);
  map.add("error", static_cast<int64_t>(error));
  map.add("status", name.empty() ? decimal(static_cast<uint32_t>(-static_cast<int64_t>(error)), arena) : name);
  if (error == 0 && item->request.present) {
    switch (item->match_key >> 32) {
      case 1:
      case 15: map.add("path", text_or_bytes(buffer(r))); break;
      case 4: map.add("data", text_or_bytes(buffer(r), frame.cut)); break;
      case 8:
      case 12: {
        ListOf list(arena);
        const int32_t n = static_cast<int32_t>(r.be32());
        for (int32_t i = 0; i < n && r.ok(); ++i) {
          const std::string_view child = buffer(r);
          if (r.ok()) list.push(text_or_bytes(child));
        }
        map.add("children", list.build());
        break;
      }
      default: break;
    }
  }
  if (frame.cut) map.add("truncated", true);
  set(item->response, map.build(), frame);
  out.finish(item);
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::zookeeper
