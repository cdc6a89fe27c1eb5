#include "codec/protobuf_schema.h"

#include <algorithm>

#include "codec/protobuf.h"

namespace baleen::codec {
namespace {

using Type = WireField::Type;

constexpr int kMaxNesting = 32;

Error malformed(std::string_view what) { return {Code::kInvalid, std::string(what) + " is malformed"}; }

/// Parts of a qualified name, each an identifier; descriptors from the wire may hold anything.
bool is_name(std::string_view name) {
  bool begins = true;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && (begins || c != '.') && (begins || c < '0' || c > '9')) return false;
    begins = c == '.';
  }
  return !begins;
}

std::string within(const std::string& scope, std::string_view name) {
  return scope.empty() ? std::string(name) : scope + "." + std::string(name);
}

/// The first record with that number and a length; empty when there is none.
Bytes part(Bytes message, uint32_t number) {
  WireReader reader(message);
  for (WireField f; reader.next(f);)
    if (f.number == number && f.type == Type::kBytes) return f.bytes;
  return {};
}

Meaning meaning_of(std::string_view name) {
  constexpr std::string_view kPackage = "google.protobuf.";
  if (!name.starts_with(kPackage)) return Meaning::kPlain;
  name.remove_prefix(kPackage.size());
  constexpr std::pair<std::string_view, Meaning> kKnown[] = {
      {"Timestamp", Meaning::kTimestamp}, {"Duration", Meaning::kDuration},   {"Struct", Meaning::kStruct},
      {"Value", Meaning::kValue},         {"ListValue", Meaning::kListValue}, {"Any", Meaning::kAny},
      {"FieldMask", Meaning::kFieldMask}, {"DoubleValue", Meaning::kWrapper}, {"FloatValue", Meaning::kWrapper},
      {"Int64Value", Meaning::kWrapper},  {"UInt64Value", Meaning::kWrapper}, {"Int32Value", Meaning::kWrapper},
      {"UInt32Value", Meaning::kWrapper}, {"BoolValue", Meaning::kWrapper},   {"StringValue", Meaning::kWrapper},
      {"BytesValue", Meaning::kWrapper}};
  for (const auto& [known, meaning] : kKnown)
    if (name == known) return meaning;
  return Meaning::kPlain;
}

template <class Map>
auto* find_in(Map& map, std::string_view name) {
  const auto at = map.find(name);
  return at == map.end() ? nullptr : &at->second;
}

}  // namespace

std::string_view EnumType::find(int32_t number) const {
  const auto at = std::lower_bound(values.begin(), values.end(), number,
                                   [](const auto& value, int32_t n) { return value.first < n; });
  return at != values.end() && at->first == number ? std::string_view(at->second) : std::string_view();
}

const MessageField* MessageType::find(uint32_t number) const {
  // Most messages number their fields 1, 2, 3.
  if (number - 1 < fields.size() && fields[number - 1].number == number) return &fields[number - 1];
  const auto at = std::lower_bound(fields.begin(), fields.end(), number,
                                   [](const MessageField& field, uint32_t n) { return field.number < n; });
  return at != fields.end() && at->number == number ? &*at : nullptr;
}

const MessageType* Schema::message(std::string_view name) const { return find_in(messages_, name); }
const MethodType* Schema::method(std::string_view path) const { return find_in(methods_, path); }

Result<> SchemaBuilder::add_set(Bytes set) {
  WireReader reader(set);
  size_t files = 0;
  for (WireField f; reader.next(f); ++files) {
    if (f.number != 1 || f.type != Type::kBytes) return malformed("the set of descriptors");
    BALEEN_TRY_DO(add_file(f.bytes));
  }
  if (!reader.ok()) return malformed("the set of descriptors");
  if (files == 0) return Error{Code::kInvalid, "the set of descriptors is empty"};
  return {};
}

Result<> SchemaBuilder::add_file(Bytes file) {
  const std::string name(as_text(part(file, 1)));
  if (name.empty()) return malformed("a file's descriptor");
  if (schema_->files_.count(name) != 0) return {};
  if ((bytes_ += file.size()) > kMostBytes) return Error{Code::kInvalid, "descriptors of more than 64 MiB"};
  const std::string package(as_text(part(file, 2)));
  if (!package.empty() && !is_name(package)) return malformed("the package of " + name);
  WireReader reader(file);
  for (WireField f; reader.next(f);) {
    if (f.type != Type::kBytes) continue;
    Result<> read;
    if (f.number == 4) read = add_message(f.bytes, package, 0);
    if (f.number == 5) read = add_enum(f.bytes, package);
    if (f.number == 6) read = add_service(f.bytes, package);
    if (f.number == 7) read = add_extension(f.bytes, package);
    if (!read) return std::move(read).error().in("descriptor of " + name);
  }
  if (!reader.ok()) return malformed("the descriptor of " + name);
  schema_->files_.insert(name);
  return {};
}

Result<> SchemaBuilder::add_message(Bytes message, const std::string& scope, int depth) {
  const std::string_view short_name = as_text(part(message, 1));
  if (!is_name(short_name) || depth > kMaxNesting) return malformed("a message's descriptor");
  const std::string name = within(scope, short_name);
  const auto [at, fresh] = schema_->messages_.try_emplace(name);
  if (!fresh) return {};
  MessageType& type = at->second;
  type.name = name;
  type.meaning = meaning_of(name);
  const uint32_t oneof_base = oneofs_ + 1;
  WireReader reader(message);
  for (WireField f; reader.next(f);) {
    if (f.type != Type::kBytes) continue;
    if (f.number == 2) {
      MessageField field;
      std::string used, extendee;
      BALEEN_TRY_DO(read_field(f.bytes, field, used, extendee));
      if (field.oneof != 0) {
        field.oneof += oneof_base - 1;
        oneofs_ = std::max(oneofs_, field.oneof);
      }
      if (!used.empty()) uses_.push_back({name, field.number, used, false});
      type.fields.push_back(std::move(field));
    }
    if (f.number == 3) BALEEN_TRY_DO(add_message(f.bytes, name, depth + 1));
    if (f.number == 4) BALEEN_TRY_DO(add_enum(f.bytes, name));
    if (f.number == 6) BALEEN_TRY_DO(add_extension(f.bytes, name));
    if (f.number == 7) {  // MessageOptions.map_entry
      WireReader options(f.bytes);
      for (WireField o; options.next(o);)
        if (o.number == 7 && o.type == Type::kVarint && o.value != 0) type.meaning = Meaning::kMapEntry;
    }
  }
  if (!reader.ok()) return malformed(name);
  const auto by_number = [](const MessageField& a, const MessageField& b) { return a.number < b.number; };
  std::stable_sort(type.fields.begin(), type.fields.end(), by_number);
  const auto same = [](const MessageField& a, const MessageField& b) { return a.number == b.number; };
  type.fields.erase(std::unique(type.fields.begin(), type.fields.end(), same), type.fields.end());
  return {};
}

Result<> SchemaBuilder::read_field(Bytes bytes, MessageField& out, std::string& type, std::string& extendee) {
  WireReader reader(bytes);
  for (WireField f; reader.next(f);) {
    if (f.type == Type::kVarint) {
      if (f.number == 3 && f.value < (1u << 29)) out.number = static_cast<uint32_t>(f.value);
      if (f.number == 4) out.repeated = f.value == 3;  // LABEL_REPEATED
      if (f.number == 5 && f.value <= static_cast<uint64_t>(FieldKind::kSint64))
        out.kind = static_cast<FieldKind>(f.value);
      if (f.number == 9 && f.value < 65536) out.oneof = static_cast<uint32_t>(f.value) + 1;
    } else if (f.type == Type::kBytes) {
      if (f.number == 1) out.name = as_text(f.bytes);
      if (f.number == 2) extendee = as_text(f.bytes);
      if (f.number == 6) type = as_text(f.bytes);
    }
  }
  const bool typed = type.empty() || is_name(std::string_view(type).substr(type[0] == '.' ? 1 : 0));
  if (!reader.ok() || !is_name(out.name) || out.number == 0 || !typed) return malformed("a field's descriptor");
  return {};
}

Result<> SchemaBuilder::add_enum(Bytes bytes, const std::string& scope) {
  const std::string_view short_name = as_text(part(bytes, 1));
  if (!is_name(short_name)) return malformed("an enum's descriptor");
  const auto [at, fresh] = schema_->enums_.try_emplace(within(scope, short_name));
  if (!fresh) return {};
  EnumType& type = at->second;
  type.name = at->first;
  WireReader reader(bytes);
  for (WireField f; reader.next(f);) {
    if (f.number != 2 || f.type != Type::kBytes) continue;
    const std::string name(as_text(part(f.bytes, 1)));
    int32_t number = 0;
    WireReader value(f.bytes);
    for (WireField v; value.next(v);)
      if (v.number == 2 && v.type == Type::kVarint) number = static_cast<int32_t>(v.value);
    if (!value.ok() || !is_name(name)) return malformed(type.name);
    type.values.emplace_back(number, name);
  }
  if (!reader.ok()) return malformed(type.name);
  std::stable_sort(type.values.begin(), type.values.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return {};
}

Result<> SchemaBuilder::add_service(Bytes bytes, const std::string& scope) {
  const std::string_view short_name = as_text(part(bytes, 1));
  if (!is_name(short_name)) return malformed("a service's descriptor");
  const std::string service = within(scope, short_name);
  WireReader reader(bytes);
  for (WireField f; reader.next(f);) {
    if (f.number != 2 || f.type != Type::kBytes) continue;
    const std::string_view name = as_text(part(f.bytes, 1));
    if (!is_name(name)) return malformed(service);
    const auto [at, fresh] = schema_->methods_.try_emplace(service + "/" + std::string(name));
    if (!fresh) continue;
    WireReader method(f.bytes);
    for (WireField m; method.next(m);) {
      if (m.type == Type::kVarint && m.number == 5) at->second.client_streams = m.value != 0;
      if (m.type == Type::kVarint && m.number == 6) at->second.server_streams = m.value != 0;
      if (m.type == Type::kBytes && (m.number == 2 || m.number == 3))
        uses_.push_back({at->first, m.number, std::string(as_text(m.bytes)), true});
    }
    if (!method.ok()) return malformed(service);
  }
  return reader.ok() ? Result<>() : Result<>(malformed(service));
}

Result<> SchemaBuilder::add_extension(Bytes bytes, const std::string& scope) {
  Extension extension;
  extension.scope = scope;
  BALEEN_TRY_DO(read_field(bytes, extension.field, extension.type, extension.extendee));
  extension.field.name = "[" + within(scope, extension.field.name) + "]";
  extension.field.oneof = 0;
  extensions_.push_back(std::move(extension));
  return {};
}

/// protoc writes names from the root, with a dot in front; others are looked for from the inner scope outwards.
template <class Map>
typename Map::mapped_type* SchemaBuilder::resolve(Map& map, std::string_view name, std::string_view scope) const {
  if (name.starts_with('.')) return find_in(map, name.substr(1));
  for (std::string_view rest = scope;;) {
    if (auto* const found = find_in(map, within(std::string(rest), name)); found != nullptr) return found;
    if (rest.empty()) return nullptr;
    const size_t dot = rest.rfind('.');
    rest = dot == std::string_view::npos ? std::string_view() : rest.substr(0, dot);
  }
}

namespace {

/// What a field of that type name is; false when it is neither a message nor an enum that is known.
bool set_type(MessageField& field, const MessageType* message, const EnumType* enumeration) {
  const bool is_enum = field.kind == FieldKind::kEnum || (field.kind == FieldKind::kUnknown && message == nullptr);
  if (is_enum && enumeration != nullptr) {
    field.kind = FieldKind::kEnum;
    field.enumeration = enumeration;
  } else if (!is_enum && message != nullptr) {
    if (field.kind != FieldKind::kGroup) field.kind = FieldKind::kMessage;
    field.message = message;
  } else {
    field.kind = FieldKind::kUnknown;
    return false;
  }
  return true;
}

}  // namespace

bool SchemaBuilder::link(const Use& use) {
  const MessageType* const message =
      resolve(schema_->messages_, use.type, use.method ? use.owner.substr(0, use.owner.find('/')) : use.owner);
  if (use.method) {
    MethodType& method = schema_->methods_.find(use.owner)->second;
    (use.field == 2 ? method.request : method.response) = message;
    return message != nullptr;
  }
  MessageType& owner = schema_->messages_.find(use.owner)->second;
  auto* const field = const_cast<MessageField*>(owner.find(use.field));
  return set_type(*field, message, resolve(schema_->enums_, use.type, use.owner));
}

void SchemaBuilder::link_extension(const Extension& e) {
  MessageType* const owner = resolve(schema_->messages_, e.extendee, e.scope);
  if (owner == nullptr || owner->find(e.field.number) != nullptr) return;
  MessageField field = e.field;
  if (!e.type.empty() &&
      !set_type(field, resolve(schema_->messages_, e.type, e.scope), resolve(schema_->enums_, e.type, e.scope)))
    return;
  const auto at = std::lower_bound(owner->fields.begin(), owner->fields.end(), field.number,
                                   [](const MessageField& f, uint32_t n) { return f.number < n; });
  owner->fields.insert(at, std::move(field));
}

Result<std::shared_ptr<const Schema>> SchemaBuilder::build(bool lenient) {
  for (const Use& use : uses_) {
    if (link(use) || lenient) continue;
    return Error{Code::kInvalid, use.owner + " uses " + use.type.substr(use.type.starts_with('.') ? 1 : 0) +
                                     ", which no file of the set describes; protoc --include_imports adds it"};
  }
  for (const Extension& e : extensions_) link_extension(e);
  return std::shared_ptr<const Schema>(std::move(schema_));
}

}  // namespace baleen::codec
