#include "dissect/ldap/operation.h"

namespace baleen::dissect::ldap {

using item::Value;

namespace {

constexpr int kMaxFilterDepth = 16;
constexpr size_t kMaxFilterText = 4096;

constexpr Name kTypes[] = {
    {kBindRequest, "bind"},         {kBindResponse, "bind"},         {kUnbindRequest, "unbind"},
    {kSearchRequest, "search"},     {kSearchEntry, "search"},        {kSearchDone, "search"},
    {kSearchReference, "search"},   {kModifyRequest, "modify"},      {kModifyResponse, "modify"},
    {kAddRequest, "add"},           {kAddResponse, "add"},           {kDelRequest, "delete"},
    {kDelResponse, "delete"},       {kModifyDnRequest, "modifyDN"},  {kModifyDnResponse, "modifyDN"},
    {kCompareRequest, "compare"},   {kCompareResponse, "compare"},   {kAbandonRequest, "abandon"},
    {kExtendedRequest, "extended"}, {kExtendedResponse, "extended"}, {kIntermediateResponse, "intermediate"},
};

// RFC 4511 appendix A.1, RFC 3062, RFC 4370, RFC 4528
constexpr Name kResults[] = {
    {0, "success"},
    {1, "operationsError"},
    {2, "protocolError"},
    {3, "timeLimitExceeded"},
    {4, "sizeLimitExceeded"},
    {5, "compareFalse"},
    {6, "compareTrue"},
    {7, "authMethodNotSupported"},
    {8, "strongerAuthRequired"},
    {10, "referral"},
    {11, "adminLimitExceeded"},
    {12, "unavailableCriticalExtension"},
    {13, "confidentialityRequired"},
    {14, "saslBindInProgress"},
    {16, "noSuchAttribute"},
    {17, "undefinedAttributeType"},
    {18, "inappropriateMatching"},
    {19, "constraintViolation"},
    {20, "attributeOrValueExists"},
    {21, "invalidAttributeSyntax"},
    {32, "noSuchObject"},
    {33, "aliasProblem"},
    {34, "invalidDNSyntax"},
    {36, "aliasDereferencingProblem"},
    {48, "inappropriateAuthentication"},
    {49, "invalidCredentials"},
    {50, "insufficientAccessRights"},
    {51, "busy"},
    {52, "unavailable"},
    {53, "unwillingToPerform"},
    {54, "loopDetect"},
    {64, "namingViolation"},
    {65, "objectClassViolation"},
    {66, "notAllowedOnNonLeaf"},
    {67, "notAllowedOnRDN"},
    {68, "entryAlreadyExists"},
    {69, "objectClassModsProhibited"},
    {71, "affectsMultipleDSAs"},
    {80, "other"},
    {118, "canceled"},
    {119, "noSuchOperation"},
    {120, "tooLate"},
    {121, "cannotCancel"},
    {122, "assertionFailed"},
    {123, "authorizationDenied"},
};

// RFC 3062, 4532, 3909, 4511 4.4.1, 2696, 2891, 4370, 4528, 4533
constexpr std::string_view kPasswordModify = "1.3.6.1.4.1.4203.1.11.1", kCancel = "1.3.6.1.1.8",
                           kPaged = "1.2.840.113556.1.4.319", kSort = "1.2.840.113556.1.4.473",
                           kSortResponse = "1.2.840.113556.1.4.474", kProxied = "2.16.840.1.113730.3.4.18",
                           kAssertion = "1.3.6.1.1.12", kSyncRequest = "1.3.6.1.4.1.4203.1.9.1.1",
                           kSyncState = "1.3.6.1.4.1.4203.1.9.1.2", kSyncDone = "1.3.6.1.4.1.4203.1.9.1.3";

struct ObjectName {
  std::string_view oid, name;
};
constexpr ObjectName kObjects[] = {
    // Extended operations
    {kStartTls, "StartTLS"},
    {kPasswordModify, "Password Modify"},
    {kWhoAmI, "Who am I?"},
    {kCancel, "Cancel"},
    {kDisconnection, "Notice of Disconnection"},
    {"1.3.6.1.1.21.1", "Start Transaction"},
    {"1.3.6.1.1.21.3", "End Transaction"},
    {"1.3.6.1.1.21.4", "Aborted Transaction Notice"},
    {"1.3.6.1.1.19", "Turn"},
    {"1.3.6.1.4.1.1466.101.119.1", "Refresh"},
    {"1.3.6.1.4.1.4203.1.11.2", "Verify Credentials"},
    {"1.2.840.113556.1.4.1781", "Fast Bind"},
    {"1.2.840.113556.1.4.2212", "Batch Request"},
    {"2.16.840.1.113719.1.27.100.31", "Get Bind DN"},
    // Intermediate responses
    {"1.3.6.1.4.1.4203.1.9.1.4", "Sync Info"},
    // Controls
    {kPaged, "Paged Results"},
    {kSort, "Server Side Sort"},
    {kSortResponse, "Server Side Sort Response"},
    {"2.16.840.1.113730.3.4.2", "ManageDsaIT"},
    {"2.16.840.1.113730.3.4.3", "Persistent Search"},
    {"2.16.840.1.113730.3.4.4", "Password Expired"},
    {"2.16.840.1.113730.3.4.5", "Password Expiring"},
    {"2.16.840.1.113730.3.4.7", "Entry Change Notification"},
    {"2.16.840.1.113730.3.4.9", "Virtual List View"},
    {"2.16.840.1.113730.3.4.10", "Virtual List View Response"},
    {"2.16.840.1.113730.3.4.12", "Proxied Authorization (old)"},
    {"2.16.840.1.113730.3.4.15", "Authorization Identity Response"},
    {"2.16.840.1.113730.3.4.16", "Authorization Identity"},
    {kProxied, "Proxied Authorization"},
    {kAssertion, "Assertion"},
    {"1.3.6.1.1.13.1", "Pre-Read"},
    {"1.3.6.1.1.13.2", "Post-Read"},
    {"1.3.6.1.1.21.2", "Transaction Specification"},
    {"1.3.6.1.1.22", "Don't Use Copy"},
    {"1.3.6.1.4.1.42.2.27.8.5.1", "Password Policy"},
    {"1.3.6.1.4.1.42.2.27.9.5.2", "Get Effective Rights"},
    {"1.3.6.1.4.1.4203.1.10.1", "Subentries"},
    {"1.2.826.0.1.3344810.2.3", "Matched Values"},
    {"1.3.6.1.4.1.4203.666.5.12", "Relax Rules"},
    {"1.2.840.113556.1.4.417", "Show Deleted"},
    {"1.2.840.113556.1.4.528", "Notification"},
    {"1.2.840.113556.1.4.529", "Extended DN"},
    {"1.2.840.113556.1.4.619", "Lazy Commit"},
    {"1.2.840.113556.1.4.801", "SD Flags"},
    {"1.2.840.113556.1.4.805", "Tree Delete"},
    {"1.2.840.113556.1.4.841", "DirSync"},
    {"1.2.840.113556.1.4.1338", "Verify Name"},
    {"1.2.840.113556.1.4.1339", "Domain Scope"},
    {"1.2.840.113556.1.4.1340", "Search Options"},
    {"1.2.840.113556.1.4.1413", "Permissive Modify"},
    {"1.2.840.113556.1.4.2064", "Show Recycled"},
    {kSyncRequest, "Content Sync"},
    {kSyncState, "Sync State"},
    {kSyncDone, "Sync Done"},
};

Value string_value(const Ber& b) { return text_or_bytes(b.text()); }

std::string_view object_name(std::string_view oid) {
  for (const ObjectName& o : kObjects)
    if (o.oid == oid) return o.name;
  return {};
}

/// The text of a search filter (RFC 4515) in the making; stops growing at its limit.
class FilterText {
 public:
  explicit FilterText(Arena& arena) : text_(static_cast<char*>(arena.allocate(kMaxFilterText, 1))) {}
  void put(char c) {
    if (size_ < kMaxFilterText) text_[size_++] = c;
  }
  void put(std::string_view s) {
    for (const char c : s) put(c);
  }
  void escaped(std::string_view s) {
    for (const char c : s) {
      const auto u = static_cast<uint8_t>(c);
      if (c == '*' || c == '(' || c == ')' || c == '\\' || u < 0x20 || u >= 0x7F) {
        put('\\');
        put("0123456789abcdef"[u >> 4]);
        put("0123456789abcdef"[u & 15]);
      } else {
        put(c);
      }
    }
  }
  std::string_view text() const { return {text_, size_}; }

 private:
  char* text_;
  size_t size_ = 0;
};

void assertion(Bytes content, std::string_view between, FilterText& out) {
  ByteReader r(content);
  out.put(ber(r).text());
  out.put(between);
  out.escaped(ber(r).text());
}

/// RFC 4511 4.5.1.7
void filter(const Ber& f, FilterText& out, int depth) {
  if (depth > kMaxFilterDepth) return;
  out.put('(');
  ByteReader r(f.content);
  switch (f.tag) {
    case 0xA0:
    case 0xA1:
    case 0xA2:
      out.put(f.tag == 0xA0 ? '&' : f.tag == 0xA1 ? '|' : '!');
      while (!r.at_end()) {
        const Ber part = ber(r);
        if (r.ok()) filter(part, out, depth + 1);
      }
      break;
    case 0xA3: assertion(f.content, "=", out); break;
    case 0xA5: assertion(f.content, ">=", out); break;
    case 0xA6: assertion(f.content, "<=", out); break;
    case 0xA8: assertion(f.content, "~=", out); break;
    case 0xA4: {
      out.put(ber(r).text());
      out.put('=');
      bool open = false;
      for (ByteReader parts(ber(r).content); !parts.at_end();) {
        const Ber part = ber(parts);
        if (part.tag != 0x80) out.put('*');
        out.escaped(part.text());
        open = part.tag != 0x82;
      }
      if (open) out.put('*');
      break;
    }
    case 0x87:
      out.put(f.text());
      out.put("=*");
      break;
    case 0xA9: {
      std::string_view rule, type, value;
      bool dn = false;
      while (!r.at_end()) {
        const Ber part = ber(r);
        if (part.tag == 0x81) rule = part.text();
        if (part.tag == 0x82) type = part.text();
        if (part.tag == 0x83) value = part.text();
        if (part.tag == 0x84) dn = !part.content.empty() && part.content[0] != 0;
      }
      out.put(type);
      if (dn) out.put(":dn");
      if (!rule.empty()) {
        out.put(':');
        out.put(rule);
      }
      out.put(":=");
      out.escaped(value);
      break;
    }
    default: out.put('?'); break;
  }
  out.put(')');
}

/// A list of attributes with their values as a map of lists.
Value attributes(ByteReader list, Arena& arena) {
  MapOf map(arena);
  while (!list.at_end()) {
    ByteReader one(ber(list).content);
    const std::string_view type = ber(one).text();
    ListOf values(arena);
    for (ByteReader set(ber(one).content); !set.at_end();) {
      const Ber v = ber(set);
      if (set.ok()) values.push(string_value(v));
    }
    if (list.ok() && one.ok() && is_text(type)) map.add(type, values.build());
  }
  return map.build();
}

void bind(ByteReader& r, MapOf& out) {
  const int64_t version = ber_integer(ber(r).content);
  const Ber name = ber(r), authentication = ber(r);
  out.add("version", version);
  out.add("name", string_value(name));
  if (authentication.tag == 0x80) {
    out.add("authentication", authentication.content.empty() && name.content.empty() ? "anonymous" : "simple");
    out.add("password", string_value(authentication));
  } else if (authentication.tag == 0xA3) {
    ByteReader sasl(authentication.content);
    out.add("authentication", "sasl");
    out.add("mechanism", string_value(ber(sasl)));
    if (!sasl.at_end()) out.add("credentials", Value::bytes(ber(sasl).content));
  } else {
    const bool sicily = authentication.tag >= 0x89 && authentication.tag <= 0x8B;  // MS-ADTS 5.1.1.1.3: NTLM
    out.add("authentication", sicily ? "sicily" : "other");
    out.add("credentials", Value::bytes(authentication.content));
  }
  out.add("summary", string_value(name));
}

void search(ByteReader& r, MapOf& out, Arena& arena) {
  constexpr std::string_view kScopes[] = {"baseObject", "singleLevel", "wholeSubtree", "subordinateSubtree"};
  constexpr std::string_view kDereferences[] = {"never", "inSearching", "findingBase", "always"};
  const Ber base = ber(r);
  const auto scope = static_cast<uint64_t>(ber_integer(ber(r).content));
  const auto dereference = static_cast<uint64_t>(ber_integer(ber(r).content));
  const int64_t size = ber_integer(ber(r).content), time = ber_integer(ber(r).content);
  const Ber types_only = ber(r), condition = ber(r);
  out.add("baseObject", string_value(base));
  out.add("scope", scope < std::size(kScopes) ? kScopes[scope] : "");
  out.add("derefAliases", dereference < std::size(kDereferences) ? kDereferences[dereference] : "");
  out.add("sizeLimit", size);
  out.add("timeLimit", time);
  out.add("typesOnly", !types_only.content.empty() && types_only.content[0] != 0);
  FilterText text(arena);
  if (r.ok()) filter(condition, text, 0);
  const Value shown = text_or_bytes(text.text());
  out.add("filter", shown);
  ListOf wanted(arena);
  for (ByteReader list(ber(r).content); !list.at_end();) {
    const Ber a = ber(list);
    if (list.ok()) wanted.push(string_value(a));
  }
  out.add("attributes", wanted.build());
  const Value name = string_value(base);
  out.add("summary",
          name.is_string() && shown.is_string() ? Value(join({name.text(), " ", shown.text()}, arena)) : name);
}

void modify(ByteReader& r, MapOf& out, Arena& arena) {
  constexpr std::string_view kKinds[] = {"add", "delete", "replace", "increment"};
  const Value object = string_value(ber(r));
  ListOf changes(arena);
  for (ByteReader list(ber(r).content); !list.at_end();) {
    ByteReader change(ber(list).content);
    const auto kind = static_cast<uint64_t>(ber_integer(ber(change).content));
    ByteReader attribute(ber(change).content);
    const Value type = string_value(ber(attribute));
    ListOf values(arena);
    for (ByteReader set(ber(attribute).content); !set.at_end();) {
      const Ber v = ber(set);
      if (set.ok()) values.push(string_value(v));
    }
    if (!list.ok() || !change.ok() || !attribute.ok()) break;
    MapOf one(arena);
    one.add("operation", kind < std::size(kKinds) ? kKinds[kind] : "");
    one.add("type", type);
    one.add("values", values.build());
    changes.push(one.build());
  }
  out.add("object", object);
  out.add("changes", changes.build());
  out.add("summary", object);
}

void add_object_name(std::string_view oid, MapOf& out) {
  out.add("requestName", text_or_bytes(oid));
  if (const std::string_view name = object_name(oid); !name.empty()) out.add("requestLabel", name);
}

void extended_value(std::string_view oid, Bytes value, MapOf& out) {
  ByteReader outer(value);
  if (oid == kPasswordModify) {  // RFC 3062 2: whose; the passwords stay in the value, which is secret
    ByteReader parts(ber(outer).content);
    if (const Ber user = ber(parts); parts.ok() && user.tag == 0x80) out.add("userIdentity", string_value(user));
  }
  if (oid == kCancel) {  // RFC 3909 2.1
    ByteReader parts(ber(outer).content);
    if (const Ber id = ber(parts); parts.ok()) out.add("cancelId", ber_integer(id.content));
  }
  out.add("requestValue", Value::bytes(value));
}

/// What a control's value says, as far as it is known.
void control_value(std::string_view oid, Bytes value, MapOf& out, Arena& arena) {
  ByteReader outer(value);
  const auto sequence = [&] { return ByteReader(ber(outer).content); };
  if (oid == kPaged) {  // RFC 2696 2
    ByteReader parts = sequence();
    out.add("size", ber_integer(ber(parts).content));
    out.add("cookie", Value::bytes(ber(parts).content));
  } else if (oid == kSort) {  // RFC 2891 1.1
    ListOf keys(arena);
    for (ByteReader list = sequence(); !list.at_end();) {
      ByteReader key(ber(list).content);
      const Ber type = ber(key);
      bool reversed = false;
      while (!key.at_end()) {
        const Ber more = ber(key);
        reversed |= more.tag == 0x81 && !more.content.empty() && more.content[0] != 0;
      }
      if (list.ok() && key.ok())
        keys.push(reversed && is_text(type.text()) ? Value(join({"-", type.text()}, arena)) : string_value(type));
    }
    out.add("keys", keys.build());
  } else if (oid == kSortResponse) {  // RFC 2891 1.2
    ByteReader parts = sequence();
    out.add("result", result_name(ber_integer(ber(parts).content)));
  } else if (oid == kProxied) {  // RFC 4370 3
    out.add("authorizationId", text_or_bytes(as_text(value)));
  } else if (oid == kAssertion) {  // RFC 4528 3
    FilterText text(arena);
    const Ber condition = ber(outer);
    if (outer.ok()) filter(condition, text, 0);
    out.add("filter", text_or_bytes(text.text()));
  } else if (oid == kSyncRequest) {  // RFC 4533 2.2
    ByteReader parts = sequence();
    out.add("mode", ber_integer(ber(parts).content) == 3 ? "refreshAndPersist" : "refreshOnly");
    if (!parts.at_end() && parts.peek() == 0x04) out.add("cookie", string_value(ber(parts)));
  } else if (oid == kSyncState) {  // RFC 4533 2.3
    constexpr std::string_view kStates[] = {"present", "add", "modify", "delete"};
    ByteReader parts = sequence();
    const auto state = static_cast<uint64_t>(ber_integer(ber(parts).content));
    out.add("state", state < std::size(kStates) ? kStates[state] : "");
    out.add("entryUUID", hex(ber(parts).content, arena));
    if (!parts.at_end()) out.add("cookie", string_value(ber(parts)));
  } else if (oid == kSyncDone) {  // RFC 4533 2.4
    ByteReader parts = sequence();
    if (!parts.at_end() && parts.peek() == 0x04) out.add("cookie", string_value(ber(parts)));
    if (!parts.at_end()) out.add("refreshDeletes", true);
  } else {
    out.add("value", Value::bytes(value));
  }
}

}  // namespace

bool is_request(uint8_t operation) {
  switch (operation) {
    case kBindRequest:
    case kUnbindRequest:
    case kSearchRequest:
    case kModifyRequest:
    case kAddRequest:
    case kDelRequest:
    case kModifyDnRequest:
    case kCompareRequest:
    case kAbandonRequest:
    case kExtendedRequest: return true;
    default: return false;
  }
}
bool is_operation(uint8_t operation) { return !type_name(operation).empty(); }
std::string_view type_name(uint8_t operation) { return name_in(kTypes, operation); }
std::string_view result_name(int64_t code) { return name_in(kResults, static_cast<uint32_t>(code)); }

Envelope read_envelope(Bytes message) {
  Envelope out;
  ByteReader r(message);
  const Ber whole = ber(r);
  ByteReader inner(whole.content);
  const Ber id = ber(inner), operation = ber(inner);
  out.ok = r.ok() && inner.ok() && whole.tag == 0x30 && id.tag == 0x02 && !id.content.empty() &&
           id.content.size() <= 5 && is_operation(operation.tag);
  out.id = static_cast<uint32_t>(ber_integer(id.content));
  out.operation = operation.tag;
  out.content = operation.content;
  if (!inner.at_end() && inner.peek() == 0xA0) out.controls = ber(inner).content;
  return out;
}

void describe_request(const Envelope& m, MapOf& out, Arena& arena) {
  ByteReader r(m.content);
  switch (m.operation) {
    case kBindRequest: return bind(r, out);
    case kSearchRequest: return search(r, out, arena);
    case kModifyRequest: return modify(r, out, arena);
    case kAddRequest: {
      const Value entry = string_value(ber(r));
      out.add("entry", entry);
      out.add("attributes", attributes(ByteReader(ber(r).content), arena));
      out.add("summary", entry);
      return;
    }
    case kDelRequest: {
      const Value entry = text_or_bytes(as_text(m.content));
      out.add("entry", entry);
      out.add("summary", entry);
      return;
    }
    case kModifyDnRequest: {
      const Value entry = string_value(ber(r));
      out.add("entry", entry);
      out.add("newRDN", string_value(ber(r)));
      const Ber old = ber(r);
      out.add("deleteOldRDN", !old.content.empty() && old.content[0] != 0);
      if (!r.at_end()) out.add("newSuperior", string_value(ber(r)));
      out.add("summary", entry);
      return;
    }
    case kCompareRequest: {
      const Value entry = string_value(ber(r));
      ByteReader pair(ber(r).content);
      out.add("entry", entry);
      out.add("attribute", string_value(ber(pair)));
      out.add("value", string_value(ber(pair)));
      out.add("summary", entry);
      return;
    }
    case kAbandonRequest: {
      const int64_t id = ber_integer(m.content);
      out.add("abandonedMessageId", id);
      out.add("summary", decimal(static_cast<uint64_t>(id), arena));
      return;
    }
    case kExtendedRequest: {
      const std::string_view oid = ber(r).text();
      add_object_name(oid, out);
      if (!r.at_end()) extended_value(oid, ber(r).content, out);
      const std::string_view name = object_name(oid);
      out.add("summary", name.empty() ? text_or_bytes(oid) : Value(name));
      return;
    }
    default: out.add("summary", ""); return;
  }
}

void describe_result(const Envelope& m, MapOf& out, Arena& arena) {
  ByteReader r(m.content);
  const int64_t code = ber_integer(ber(r).content);
  const Ber matched = ber(r), text = ber(r);
  const std::string_view name = result_name(code);
  out.add("resultCode", code);
  out.add("status", name.empty() ? decimal(static_cast<uint64_t>(code), arena) : name);
  out.add("matchedDN", string_value(matched));
  out.add("errorMessage", string_value(text));
  while (!r.at_end()) {
    const Ber more = ber(r);
    if (!r.ok()) break;
    switch (more.tag) {
      case 0xA3: out.add("referral", describe_uris(more.content, arena)); break;
      case 0x87: out.add("serverSaslCreds", Value::bytes(more.content)); break;
      case 0x8A: {
        out.add("responseName", string_value(more));
        if (const std::string_view known = object_name(more.text()); !known.empty()) out.add("responseLabel", known);
        break;
      }
      case 0x8B: out.add("responseValue", Value::bytes(more.content)); break;
      default: break;
    }
  }
}

Value describe_entry(const Envelope& m, Arena& arena) {
  ByteReader r(m.content);
  MapOf map(arena);
  map.add("dn", string_value(ber(r)));
  map.add("attributes", attributes(ByteReader(ber(r).content), arena));
  add_controls(m.controls, map, arena);
  return map.build();
}

Value describe_intermediate(const Envelope& m, Arena& arena) {
  MapOf map(arena);
  for (ByteReader r(m.content); !r.at_end();) {
    const Ber part = ber(r);
    if (!r.ok()) break;
    if (part.tag == 0x80) {
      map.add("responseName", string_value(part));
      if (const std::string_view name = object_name(part.text()); !name.empty()) map.add("responseLabel", name);
    }
    if (part.tag == 0x81) map.add("responseValue", Value::bytes(part.content));
  }
  add_controls(m.controls, map, arena);
  return map.build();
}

Value describe_uris(Bytes content, Arena& arena) {
  ListOf list(arena);
  for (ByteReader r(content); !r.at_end();) {
    const Ber uri = ber(r);
    if (r.ok()) list.push(string_value(uri));
  }
  return list.build();
}

void add_controls(Bytes controls, MapOf& out, Arena& arena) {
  if (controls.empty()) return;
  ListOf list(arena);
  for (ByteReader r(controls); !r.at_end();) {
    ByteReader one(ber(r).content);
    const std::string_view oid = ber(one).text();
    if (!r.ok() || !one.ok()) break;
    MapOf map(arena);
    map.add("type", text_or_bytes(oid));
    map.add_text("name", object_name(oid));
    bool critical = false;
    while (!one.at_end()) {
      const Ber more = ber(one);
      if (more.tag == 0x01) critical = !more.content.empty() && more.content[0] != 0;
      if (more.tag == 0x04) control_value(oid, more.content, map, arena);
    }
    map.add("criticality", critical);
    list.push(map.build());
  }
  out.add("controls", list.build());
}

}  // namespace baleen::dissect::ldap
