#include "dissect/mongodb/mongodb.h"

#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "dissect/mongodb/bson.h"
#include "dissect/text.h"

namespace baleen::dissect::mongodb {

using item::Field;
using item::FieldType;
using item::Item;
using item::Member;
using item::Outcome;
using item::Value;

namespace {

constexpr uint16_t kPorts[] = {27017};
constexpr Field kFields[] = {
    {"request.command", "mongodb_command", FieldType::kString,
     "The command, such as find; of old operations what they do."},
    {"request.database", "mongodb_database", FieldType::kString, "The database."},
    {"request.collection", "mongodb_collection", FieldType::kString, "The collection."},
    {"request.opcode", "mongodb_opcode", FieldType::kString, "The operation, such as OP_MSG."},
    {"response.error.message", "mongodb_error_message", FieldType::kString, "The error's message."},
    {"response.error.codeName", "mongodb_error_code_name", FieldType::kString,
     "The error's name, such as DuplicateKey."},
    {"response.success", "mongodb_success", FieldType::kBool, "It was answered without an error."},
    {"response.error.code", "mongodb_error_code", FieldType::kInt, "The error's number."},
    {"requestSize", "mongodb_request_size", FieldType::kInt, "Bytes of the request on the stream."},
    {"responseSize", "mongodb_response_size", FieldType::kInt, "Bytes of the reply on the stream."},
    {"size", "mongodb_total_size", FieldType::kInt, "Bytes of request and reply together."},
    {"request.requestId", "", FieldType::kInt, "The request's number."},
    {"request.compressor", "", FieldType::kString, "snappy, zlib or zstd, when the message was compressed."},
    {"request.moreToCome", "", FieldType::kBool, "No reply is wanted."},
    {"request.body", "", FieldType::kMap, "The command's document, without what is secret."},
    {"request.documents", "", FieldType::kList, "Documents sent beside the command's."},
    {"request.secret", "", FieldType::kString, "What proves who the client is, or a new password.", true},
    {"request.body.speculativeAuthenticate", "", FieldType::kMap, "The beginning of an authentication within hello.",
     true},
    {"request.truncated", "", FieldType::kBool, "Not all of the request was kept."},
    {"response.opcode", "", FieldType::kString, "The operation of the reply."},
    {"response.status", "", FieldType::kString, "OK, or the error's name or number."},
    {"response.body", "", FieldType::kMap, "The reply's document."},
    {"response.body.payload", "", FieldType::kBytes, "The server's part of an authentication.", true},
    {"response.documents", "", FieldType::kList, "Documents of an OP_REPLY beyond the first."},
    {"response.cursorId", "", FieldType::kInt, "The cursor to go on with; 0 when all was sent."},
    {"response.returned", "", FieldType::kInt, "How many documents were returned."},
    {"response.truncated", "", FieldType::kBool, "Not all of the reply was kept."},
    {"data.opcode", "", FieldType::kString, "The operation of a later reply to an exhaust request."},
    {"data.body", "", FieldType::kMap, "Its document."},
};

enum Opcode : uint32_t {
  kReply = 1,
  kUpdate = 2001,
  kInsert = 2002,
  kQuery = 2004,
  kGetMore = 2005,
  kDelete = 2006,
  kKillCursors = 2007,
  kCommand = 2010,
  kCommandReply = 2011,
  kCompressed = 2012,
  kMsg = 2013,
};
constexpr uint32_t kChecksumPresent = 1, kMoreToCome = 2, kExhaustAllowed = 1 << 16;
constexpr uint64_t kMaxMessage = 48'000'000 + (64 << 10);  // maxMessageSizeBytes and some room
constexpr size_t kMaxPlain = 4 << 20;
constexpr uint32_t kMaxDocuments = 64;

std::string_view opcode_name(uint32_t opcode) {
  switch (opcode) {
    case kReply: return "OP_REPLY";
    case kUpdate: return "OP_UPDATE";
    case kInsert: return "OP_INSERT";
    case kQuery: return "OP_QUERY";
    case kGetMore: return "OP_GET_MORE";
    case kDelete: return "OP_DELETE";
    case kKillCursors: return "OP_KILL_CURSORS";
    case kCommand: return "OP_COMMAND";
    case kCommandReply: return "OP_COMMANDREPLY";
    case kCompressed: return "OP_COMPRESSED";
    case kMsg: return "OP_MSG";
    default: return "";
  }
}

struct Header {
  uint32_t size, id, answers, opcode;
};
Header header(const uint8_t* p) { return {load_le32(p), load_le32(p + 4), load_le32(p + 8), load_le32(p + 12)}; }

/// What a message says, in the item's arena.
struct Message {
  uint32_t opcode = 0, flags = 0;
  Value body, compressor;
  Value documents[kMaxDocuments];
  uint32_t document_count = 0;
  std::string_view collection;  // "database.collection" of old operations
  int64_t cursor = 0, returned = 0;
  bool has_cursor = false, truncated = false, malformed = false;

  void add(Value document) {
    if (document_count < kMaxDocuments)
      documents[document_count] = document;
    else
      truncated = true;
    ++document_count;
  }
  std::span<const Value> shown() const { return {documents, std::min(document_count, kMaxDocuments)}; }
};

/// The bytes of the message in the arena, decompressed; empty when they cannot be had.
Bytes own(Bytes bytes, Message& m, Arena& arena, size_t cap, Output& out) {
  if (m.opcode != kCompressed) {
    if (bytes.size() > cap) {
      bytes = bytes.first(cap);
      m.truncated = true;
    }
    return arena.copy(bytes);
  }
  if (bytes.size() < 9) return m.malformed = true, Bytes();
  m.opcode = load_le32(bytes.data());
  const uint32_t plain = load_le32(&bytes[4]);
  const uint8_t how = bytes[8];
  const Bytes packed = bytes.subspan(9);
  static constexpr std::string_view kNames[] = {"noop", "snappy", "zlib", "zstd"};
  m.compressor = how < 4 ? Value(kNames[how]) : Value("unknown");
  if (plain > kMaxPlain || m.truncated) {
    out.count(Counter::kBodyCapped);
    m.truncated = true;
    return {};
  }
  auto* to = static_cast<uint8_t*>(arena.allocate(plain + 1, 1));
  bool good = false;
  switch (how) {
    case 0:
      good = packed.size() == plain;
      if (good) std::memcpy(to, packed.data(), plain);
      break;
    case 1: {
      size_t size = 0;
      const auto* from = reinterpret_cast<const char*>(packed.data());
      good = snappy::GetUncompressedLength(from, packed.size(), &size) && size == plain &&
             snappy::RawUncompress(from, packed.size(), reinterpret_cast<char*>(to));
      break;
    }
    case 2: {
      uLongf size = plain;
      good = uncompress(to, &size, packed.data(), packed.size()) == Z_OK && size == plain;
      break;
    }
    case 3: good = ZSTD_decompress(to, plain, packed.data(), packed.size()) == plain; break;
    default: break;
  }
  if (!good) {
    out.count(Counter::kDecodeFailed);
    m.malformed = true;
    return {};
  }
  return {to, plain};
}

std::string_view c_text(Bytes bytes, size_t& at) {
  const std::string_view rest = as_text(bytes.subspan(std::min(at, bytes.size())));
  const size_t n = std::min(rest.find('\0'), rest.size());
  at = std::min(at + n + 1, bytes.size());
  return rest.substr(0, n);
}

/// What is cut off in a message that is all there is wrong, not missing.
void note(const BsonReader& r, Message& m) {
  m.malformed |= r.malformed() || (r.truncated() && !m.truncated);
  m.truncated |= r.truncated() || r.limited();
}

/// Documents up to the end of `bytes`.
void read_documents(Bytes bytes, Message& m, Arena& arena) {
  BsonReader r(bytes, arena);
  while (!r.at_end() && !r.malformed()) m.add(r.document());
  note(r, m);
}

void read_msg(Bytes b, Message& m, Arena& arena) {
  if (b.size() < 5) {
    m.malformed = !m.truncated;
    return;
  }
  m.flags = load_le32(b.data());
  size_t end = b.size();
  if ((m.flags & kChecksumPresent) != 0 && !m.truncated && end >= 9) end -= 4;
  for (size_t at = 4; at < end;) {
    const uint8_t kind = b[at++];
    if (kind == 0) {
      BsonReader r(b.subspan(at, end - at), arena);
      m.body = r.document();
      note(r, m);
      at += r.position();
    } else if (kind == 1 && end - at >= 4) {
      const uint32_t size = load_le32(&b[at]);
      if (size < 5) return void(m.malformed = true);
      const size_t stop = std::min<size_t>(end, at + size);
      if (at + size > end) (m.truncated ? m.truncated : m.malformed) = true;
      size_t inner = at + 4;
      c_text(b.first(stop), inner);  // the name of the argument that the documents stand for
      read_documents(b.subspan(inner, stop - inner), m, arena);
      at = stop;
    } else {
      m.malformed = true;
      return;
    }
  }
}

/// Everything behind the header.
void read_message(Bytes b, Message& m, Arena& arena) {
  size_t at = 4;
  switch (m.opcode) {
    case kMsg: return read_msg(b, m, arena);
    case kQuery: {
      if (b.size() < 5) break;
      m.collection = c_text(b, at);
      at += 8;
      if (at > b.size()) break;
      return read_documents(b.subspan(at), m, arena);
    }
    case kInsert:
      if (b.size() < 5) break;
      m.collection = c_text(b, at);
      return read_documents(b.subspan(at), m, arena);
    case kUpdate:
    case kDelete:
      if (b.size() < 5) break;
      m.collection = c_text(b, at);
      if (at + 4 > b.size()) break;
      return read_documents(b.subspan(at + 4), m, arena);
    case kGetMore:
      if (b.size() < 5) break;
      m.collection = c_text(b, at);
      if (at + 12 > b.size()) break;
      m.cursor = static_cast<int64_t>(load_le64(&b[at + 4]));
      m.has_cursor = true;
      return;
    case kKillCursors: return;
    case kReply:
      if (b.size() < 20) break;
      m.flags = load_le32(b.data());
      m.cursor = static_cast<int64_t>(load_le64(&b[4]));
      m.has_cursor = true;
      m.returned = static_cast<int32_t>(load_le32(&b[16]));
      return read_documents(b.subspan(20), m, arena);
    case kCommand: {  // database, command, arguments, metadata
      at = 0;
      const std::string_view database = c_text(b, at), command = c_text(b, at);
      read_documents(b.subspan(at), m, arena);
      auto pair = arena.array<Member>(2);
      pair[0] = {command, m.document_count > 0 ? m.documents[0] : Value()};
      pair[1] = {"$db", Value(database)};
      m.body = Value::map(pair);
      return;
    }
    case kCommandReply: return read_documents(b, m, arena);
    default: break;
  }
  if (!m.truncated) m.malformed = true;
}

bool proves_identity(std::string_view command) {
  for (const std::string_view name :
       {"saslStart", "saslContinue", "authenticate", "createUser", "updateUser", "copydbsaslstart"})
    if (command == name) return true;
  return false;
}

/// The document without its secrets, which go to `secret`.
Value without_secrets(const Value& body, Value& secret, Arena& arena) {
  auto open = arena.array<Member>(body.size());
  size_t n = 0;
  for (const Member& m : body.members()) {
    if (m.name == "payload" || m.name == "pwd" || m.name == "key")
      secret = m.value;
    else
      open[n++] = m;
  }
  return Value::map(open.subspan(0, n));
}

Value request_payload(Message& m, uint32_t id, Arena& arena) {
  MapBuilder<14> map;
  map.add("opcode", opcode_name(m.opcode));
  std::string_view command, database, collection;
  if (!m.collection.empty()) {
    const size_t dot = std::min(m.collection.find('.'), m.collection.size());
    database = m.collection.substr(0, dot);
    collection = m.collection.substr(std::min(dot + 1, m.collection.size()));
  }
  switch (m.opcode) {
    case kQuery:
      if (m.document_count > 0) m.body = m.documents[0];
      if (collection == "$cmd") {
        collection = {};
        if (m.body.is_map() && m.body.size() > 0 &&
            (m.body.members()[0].name == "$query" || m.body.members()[0].name == "query"))
          m.body = m.body.members()[0].value;
      } else {
        command = "find";
      }
      break;
    case kInsert: command = "insert"; break;
    case kUpdate: command = "update"; break;
    case kDelete: command = "delete"; break;
    case kGetMore: command = "getMore"; break;
    case kKillCursors: command = "killCursors"; break;
    default: break;
  }
  if (command.empty() && m.body.is_map() && m.body.size() > 0) {
    const Member& first = m.body.members()[0];
    command = first.name;
    if (collection.empty()) collection = first.value.is_string() ? first.value.text() : m.body["collection"].text();
    if (database.empty()) database = m.body["$db"].text();
  }
  map.add("command", text_or_bytes(command));
  if (!database.empty()) map.add("database", text_or_bytes(database));
  if (!collection.empty()) map.add("collection", text_or_bytes(collection));
  map.add("requestId", static_cast<int64_t>(id));
  if (!m.compressor.is_null()) map.add("compressor", m.compressor);
  if ((m.flags & kMoreToCome) != 0 && m.opcode == kMsg) map.add("moreToCome", true);
  Value secret;
  if (proves_identity(command)) m.body = without_secrets(m.body, secret, arena);
  if (!m.body.is_null()) map.add("body", m.body);
  if (!secret.is_null()) map.add("secret", secret);
  if (m.document_count > (m.opcode == kQuery ? 1 : 0)) {
    const auto documents = m.shown().subspan(m.opcode == kQuery ? 1 : 0);
    auto list = arena.array<Value>(documents.size());
    std::copy(documents.begin(), documents.end(), list.begin());
    map.add("documents", Value::list(list));
    map.add("documentCount", m.document_count);
  }
  if (m.has_cursor) map.add("cursorId", m.cursor);
  if (m.truncated) map.add("truncated", true);
  return map.build(arena);
}

Value error_value(const Value& code, const Value& name, const Value& message, Arena& arena) {
  MapBuilder<3> map;
  map.add("code", code.is_number() ? Value(code.as_int()) : Value(0));
  if (!name.is_null()) map.add("codeName", name);
  map.add("message", message);
  return map.build(arena);
}

/// The error that a reply reports: of the command, of a write, or in the manner of old.
Value find_error(const Value& body, uint32_t opcode, uint32_t flags, Arena& arena) {
  if (const Value* e = body.find("$err"); e != nullptr || (opcode == kReply && (flags & 2) != 0))
    return error_value(body["code"], Value(), e != nullptr ? *e : Value("query failure"), arena);
  const Value* ok = body.find("ok");
  if (ok != nullptr && (ok->is_number() ? ok->as_double() == 0 : ok->type() == Value::Type::kBool && !ok->as_bool()))
    return error_value(body["code"], body["codeName"], body["errmsg"], arena);
  const Value writes = body["writeErrors"];
  if (writes.size() > 0)
    return error_value(writes.elements()[0]["code"], writes.elements()[0]["codeName"], writes.elements()[0]["errmsg"],
                       arena);
  const Value concern = body["writeConcernError"];
  if (concern.is_map()) return error_value(concern["code"], concern["codeName"], concern["errmsg"], arena);
  return {};
}

Value reply_payload(Message& m, uint32_t id, Arena& arena) {
  if (m.opcode == kReply || m.opcode == kCommandReply) m.body = m.document_count > 0 ? m.documents[0] : Value();
  MapBuilder<14> map;
  map.add("opcode", opcode_name(m.opcode));
  const Value error = find_error(m.body, m.opcode, m.flags, arena);
  map.add("success", error.is_null());
  map.add("status", error.is_null() ? Value("OK") : error["codeName"].is_null() ? Value("error") : error["codeName"]);
  if (!error.is_null()) map.add("error", error);
  map.add("requestId", static_cast<int64_t>(id));
  if (!m.compressor.is_null()) map.add("compressor", m.compressor);
  if ((m.flags & kMoreToCome) != 0 && m.opcode == kMsg) map.add("moreToCome", true);
  const Value cursor = m.body["cursor"];
  if (cursor.is_map()) {
    const Value batch = cursor["firstBatch"].is_list() ? cursor["firstBatch"] : cursor["nextBatch"];
    map.add("cursorId", cursor["id"]);
    map.add("returned", uint64_t{batch.size()});
  } else if (m.has_cursor) {
    map.add("cursorId", m.cursor);
    map.add("returned", m.returned);
  }
  if (!m.body.is_null()) map.add("body", m.body);
  if (m.document_count > 1) {
    const auto documents = m.shown().subspan(1);
    auto list = arena.array<Value>(documents.size());
    std::copy(documents.begin(), documents.end(), list.begin());
    map.add("documents", Value::list(list));
  }
  if (m.truncated) map.add("truncated", true);
  return map.build(arena);
}

bool is_request(uint32_t opcode) {
  return opcode >= 2001 && opcode <= 2013 && opcode != 2003 && opcode != 2008 && opcode != 2009 &&
         opcode != kCommandReply;
}
bool is_reply(uint32_t opcode) {
  return opcode == kReply || opcode == kCommandReply || opcode == kCompressed || opcode == kMsg;
}

bool good_header(const Header& h, bool client) {
  if (h.size < 16 || h.size > kMaxMessage) return false;
  if (client) return is_request(h.opcode) && (h.answers == 0 || h.opcode != kMsg);
  return is_reply(h.opcode);
}

}  // namespace

const item::Protocol Mongodb::kProtocol = {
    .name = "mongodb",
    .version = "3.6",
    .abbreviation = "MONGODB",
    .long_name = "MongoDB Wire Protocol",
    .macro = "mongodb",
    .reference = "https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/",
    .background = "#13aa52",
    .foreground = "#ffffff",
    .font_size = 10,
    .priority = 5,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.command",
    .summary_path = "request.collection",
    .status_path = "response.status",
};

Step Mongodb::dissect(const Input& in, Output& out) {
  const bool client = in.direction == Direction::kToServer;
  if (uint64_t& skip = skip_[client ? 0 : 1]; skip != 0) return Step::skip(std::exchange(skip, 0));
  if (in.bytes.size() < 16) return Step::need(16);
  const Header h = header(in.bytes.data());
  if (!good_header(h, client)) {
    lost_here_[client ? 0 : 1] = true;
    return Step::lost();
  }
  const auto wanted = static_cast<size_t>(std::min<uint64_t>(h.size, std::max<size_t>(out.settings().header_cap, 64)));
  if (in.bytes.size() < wanted) return Step::need(wanted);
  if (wanted < h.size) {
    out.count(Counter::kBodyCapped);
    skip_[client ? 0 : 1] = h.size - wanted;
  }
  client ? request(in, in.bytes.first(wanted), h.size, out) : reply(in, in.bytes.first(wanted), h.size, out);
  return Step::took(wanted);
}

void Mongodb::request(const Input& in, Bytes message, uint64_t size, Output& out) {
  const Header h = header(message.data());
  Item* item = out.begin(kProtocol);
  Message m;
  m.opcode = h.opcode;
  m.truncated = message.size() < size;
  const Bytes body = own(message.subspan(16), m, item->arena, out.settings().body_cap, out);
  if (!body.empty()) read_message(body, m, item->arena);
  item->request = {request_payload(m, h.id, item->arena), in.time, size, true};
  if (m.malformed) {
    out.count(Counter::kMalformed);
    item->error_message = "the message does not follow its format";
  }
  const bool unanswered = m.opcode == kInsert || m.opcode == kUpdate || m.opcode == kDelete ||
                          m.opcode == kKillCursors || (m.opcode == kMsg && (m.flags & kMoreToCome) != 0);
  if (unanswered) {
    if (m.malformed) item->outcome = Outcome::kDissection;
    return out.finish(item);
  }
  waiting_.push(h.id, item, out);
}

void Mongodb::reply(const Input& in, Bytes message, uint64_t size, Output& out) {
  const Header h = header(message.data());
  Item* item = waiting_.take(h.answers);
  const bool paired = item != nullptr;
  if (!paired) item = out.begin(kProtocol);
  Message m;
  m.opcode = h.opcode;
  m.truncated = message.size() < size;
  const Bytes body = own(message.subspan(16), m, item->arena, out.settings().body_cap, out);
  if (!body.empty()) read_message(body, m, item->arena);
  const item::Message side = {reply_payload(m, h.id, item->arena), in.time, size, true};
  const bool follows = !paired && exhausting_ && h.answers == exhaust_;
  if (m.malformed) {
    out.count(Counter::kMalformed);
    item->error_message = "the message does not follow its format";
  }
  if (follows) {
    item->data = side;
    item->outcome = Outcome::kSingle;
  } else {
    item->response = side;
    if (!paired) {
      item->outcome = Outcome::kNoRequest;
      out.count(Counter::kHalfResponses);
    }
  }
  if (m.malformed || !item->error_message.empty()) item->outcome = Outcome::kDissection;
  if (m.opcode == kMsg && (m.flags & kMoreToCome) != 0) {
    exhausting_ = true;
    exhaust_ = h.id;
  } else if (follows) {
    exhausting_ = false;
  }
  out.finish(item);
}

bool Mongodb::gap(Direction direction, uint64_t bytes, Output&) {
  // Pairs go by number: what waits may yet be answered, and nothing can be paired wrongly.
  uint64_t& skip = skip_[direction == Direction::kToServer ? 0 : 1];
  if (bytes != 0 && bytes <= skip) {
    skip -= bytes;
    return true;
  }
  skip = 0;
  return false;
}

void Mongodb::expire(Timestamp before, Output& out) { waiting_.expire(before, out); }
void Mongodb::close(bool, Output& out) { waiting_.finish_all(out); }

Probe Mongodb::probe(const Input& in) {
  const Bytes b = in.bytes;
  const bool client = in.direction == Direction::kToServer;
  if (b.size() < 16) {
    if (b.size() >= 4 && (load_le32(b.data()) < 16 || load_le32(b.data()) > kMaxMessage)) return Probe::kNo;
    return Probe::kUnsure;
  }
  const Header h = header(b.data());
  if (!good_header(h, client)) return Probe::kNo;
  if (client ? h.answers != 0 && h.answers != 0xFFFFFFFF : h.opcode != kReply && h.answers == 0) return Probe::kNo;
  if (h.size < 21) return Probe::kNo;
  const auto document_at = [&](size_t at) {  // a plausible beginning of a document
    if (h.size < at + 5) return Probe::kNo;
    if (b.size() < at + 5) return Probe::kUnsure;
    const uint32_t size = load_le32(&b[at]);
    if (size < 5 || size > h.size - at) return Probe::kNo;
    const uint8_t type = b[at + 4];
    return type <= 0x13 || type == 0x7F || type == 0xFF ? Probe::kYes : Probe::kNo;
  };
  switch (h.opcode) {
    case kMsg: {
      if (b.size() < 21) return Probe::kUnsure;
      if ((load_le32(&b[16]) & ~(kChecksumPresent | kMoreToCome | kExhaustAllowed)) != 0 || b[20] > 1)
        return Probe::kNo;
      return b[20] == 0 ? document_at(21) : Probe::kYes;
    }
    case kCompressed: {
      if (h.size < 25) return Probe::kNo;
      if (b.size() < 25) return Probe::kUnsure;
      const uint32_t original = load_le32(&b[16]);
      return b[24] <= 3 && original != kCompressed && (client ? is_request(original) : is_reply(original)) ? Probe::kYes
                                                                                                           : Probe::kNo;
    }
    case kReply:
      if (h.size < 36) return Probe::kNo;
      if (b.size() < 36) return Probe::kUnsure;
      if (load_le32(&b[16]) > 15 || load_le32(&b[32]) > 1'000'000) return Probe::kNo;
      return load_le32(&b[32]) == 0 ? (h.size == 36 ? Probe::kYes : Probe::kNo) : document_at(36);
    case kCommand:
    case kCommandReply: return Probe::kYes;
    default: {  // flags or zero, then "database.collection"
      if (h.opcode == kKillCursors) return load_le32(&b[16]) == 0 && h.size >= 24 ? Probe::kYes : Probe::kNo;
      if (b.size() < 21) return Probe::kUnsure;
      if (load_le32(&b[16]) > 255) return Probe::kNo;
      for (size_t at = 20; at < std::min<size_t>(b.size(), 20 + 256); ++at) {
        if (b[at] == 0)
          return as_text(b.subspan(20, at - 20)).find('.') != std::string_view::npos ? Probe::kYes : Probe::kNo;
        if (b[at] < 32) return Probe::kNo;
      }
      return b.size() > 20 + 256 ? Probe::kNo : Probe::kUnsure;
    }
  }
}

Resync Mongodb::resync(const Input& in) {
  const size_t size = in.bytes.size();
  bool& lost_here = lost_here_[static_cast<int>(in.direction)];
  for (size_t at = std::exchange(lost_here, false) ? 1 : 0; at < size; ++at) {
    constexpr size_t kView = 300;  // the same judgement however much is there
    const Bytes view = in.bytes.subspan(at, std::min(size - at, kView));
    const Probe p = probe(Input{in.direction, view, in.time, in.end_of_stream});
    if (p == Probe::kYes) return {at, true};
    if (p == Probe::kUnsure && size - at < kView) return {at, false};
  }
  return {size, false};
}

}  // namespace baleen::dissect::mongodb
