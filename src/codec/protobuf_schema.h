#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

// What the messages of protobuf mean: descriptors (google/protobuf/descriptor.proto) read into tables that are looked
// up by numbers. Reading is not for the data path, looking up is.

namespace baleen::codec {

/// FieldDescriptorProto.Type.
enum class FieldKind : uint8_t {
  kUnknown,  // its type is not among the descriptors
  kDouble,
  kFloat,
  kInt64,
  kUint64,
  kInt32,
  kFixed64,
  kFixed32,
  kBool,
  kString,
  kGroup,
  kMessage,
  kBytes,
  kUint32,
  kEnum,
  kSfixed32,
  kSfixed64,
  kSint32,
  kSint64,
};

struct MessageType;

struct EnumType {
  std::string name;
  std::vector<std::pair<int32_t, std::string>> values;  // by number; of those with one number the first
  /// The value's name; empty when no value has that number.
  std::string_view find(int32_t number) const;
};

struct MessageField {
  uint32_t number = 0;
  FieldKind kind = FieldKind::kUnknown;
  bool repeated = false;
  uint32_t oneof = 0;  // fields of one oneof have the same number; zero: in none
  std::string name;    // as in the .proto file; "[package.name]" for an extension
  const MessageType* message = nullptr;
  const EnumType* enumeration = nullptr;
};

/// What messages of the types mean that everybody knows (https://protobuf.dev/reference/protobuf/google.protobuf/).
enum class Meaning : uint8_t {
  kPlain,
  kMapEntry,
  kTimestamp,
  kDuration,
  kWrapper,
  kStruct,
  kValue,
  kListValue,
  kAny,
  kFieldMask
};

struct MessageType {
  std::string name;  // with its package: "google.protobuf.Timestamp"
  Meaning meaning = Meaning::kPlain;
  std::vector<MessageField> fields;  // by number
  const MessageField* find(uint32_t number) const;
};

struct MethodType {
  const MessageType* request = nullptr;   // null: not among the descriptors
  const MessageType* response = nullptr;  // the same
  bool client_streams = false, server_streams = false;
};

/// The types and methods of some files. Immutable; any thread.
class Schema {
 public:
  /// Null when there is none of that name ("pkg.Message").
  const MessageType* message(std::string_view name) const;
  /// By "pkg.Service/Method"; null when there is none.
  const MethodType* method(std::string_view path) const;
  size_t files() const { return files_.size(); }
  size_t methods() const { return methods_.size(); }

 private:
  friend class SchemaBuilder;
  std::set<std::string, std::less<>> files_;
  std::map<std::string, MessageType, std::less<>> messages_;
  std::map<std::string, EnumType, std::less<>> enums_;
  std::map<std::string, MethodType, std::less<>> methods_;
};

/// Collects files, then links them. A file that is there already, by its name, is not read twice.
class SchemaBuilder {
 public:
  static constexpr size_t kMostBytes = 64 << 20;  // of all files

  SchemaBuilder() : schema_(std::make_unique<Schema>()) {}
  /// A FileDescriptorSet, as protoc --descriptor_set_out writes it. kInvalid says what it is instead.
  Result<> add_set(Bytes set);
  /// A FileDescriptorProto.
  Result<> add_file(Bytes file);
  /// Ends the building. A type that is used and in no file is an error that names it, unless `lenient`: then the fields
  /// of that type are left unknown.
  Result<std::shared_ptr<const Schema>> build(bool lenient);

 private:
  struct Use {          // of a type by name
    std::string owner;  // the message, or the method's path
    uint32_t field;     // of the message; for methods 2 is the request, 3 the response
    std::string type;
    bool method;
  };
  struct Extension {
    std::string extendee, scope;
    MessageField field;
    std::string type;
  };

  Result<> add_message(Bytes message, const std::string& scope, int depth);
  Result<> add_enum(Bytes enumeration, const std::string& scope);
  Result<> add_service(Bytes service, const std::string& scope);
  Result<> add_extension(Bytes field, const std::string& scope);
  Result<> read_field(Bytes field, MessageField& out, std::string& type, std::string& extendee);
  template <class Map>
  typename Map::mapped_type* resolve(Map& map, std::string_view name, std::string_view scope) const;
  bool link(const Use& use);
  void link_extension(const Extension& extension);

  std::unique_ptr<Schema> schema_;
  std::vector<Use> uses_;
  std::vector<Extension> extensions_;
  uint32_t oneofs_ = 0;
  size_t bytes_ = 0;
};

}  // namespace baleen::codec
