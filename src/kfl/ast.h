#pragma once

#include <re2/re2.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kfl/datum.h"
#include "kfl/path.h"
#include "kfl/types.h"

namespace baleen::kfl {

struct Function;
struct Variable;

/// What a part of an expression does. Both dialects parse to these; where they mean different things by the same
/// sign, the dialect of the filter decides which evaluator runs (eval_v1.cpp, eval_cel.cpp).
enum class Op : uint8_t {
  kLiteral,  // value
  kRegex,    // v1: r"..."; regex
  kSelect,   // v1: path from the record
  kTime,     // v1: now, seconds(n), ...; value, known when the filter is compiled
  kGroup,    // v1: ( ... ), the border at which a missing path stops
  kNot,
  kNegate,
  kAnd,
  kOr,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kCall,  // v1: helper; args[0] is the subject when has_subject. CEL: function
  // CEL only
  kConditional,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,
  kIn,
  kName,           // an identifier before it is resolved
  kVariable,       // variable of section 3.2, or one declared by the caller
  kFlag,           // protocol flag; mask
  kLocal,          // variable of a comprehension; slot
  kTypeName,       // int, string, list, ...; value
  kField,          // args[0].text
  kOptionalField,  // args[0].?text
  kHas,            // has(args[0].text)
  kIndex,
  kOptionalIndex,
  kList,     // elements; optional_flags
  kMap,      // key, value, key, value, ...; optional_flags per pair
  kMessage,  // T{field: value}; protobuf, never evaluated
  kAll,
  kExists,
  kExistsOne,
  kMapMacro,
  kFilter,
  kTransformList,
  kTransformMap,
  kTransformMapEntry,  // comprehensions
  kBind,               // cel.bind, optMap, optFlatMap; args: value, body
  kBlock,              // cel.block; args: bindings..., body
  kInPlace,            // v2 scoping: args[0], true only when the item is of one of the protocols in mask
};

/// The helpers of KFL v1 (reference section 2.3).
enum class Helper : uint8_t {
  kNone,
  kStartsWith,
  kEndsWith,
  kContains,
  kDatetime,
  kLimit,
  kJson,
  kXml,
  kRedact,
  kRecord,
  kUnknown
};

struct Redaction;

/// A part of an expression. Owned by its Tree; immutable once compiled.
struct Node {
  Op op = Op::kLiteral;
  Helper helper = Helper::kNone;
  bool has_subject = false;
  bool empty_call = false;      // v1: written name(), which is a selector
  bool optional = false;        // kBind: optMap or optFlatMap
  bool flat = false;            // kBind: optFlatMap
  bool implied = false;         // not written by the user
  uint8_t variables = 0;        // comprehensions: 1 or 2
  uint32_t begin = 0, end = 0;  // in the text
  uint32_t slot = 0;            // first local
  uint32_t shared = 0;          // FilterSet: number of the memory of this part, 0 for none
  uint8_t cache = 0;            // kVariable, kSelect: place in Context::cached, from 1; 0 for none
  uint64_t mask = 0;            // kFlag, kInPlace: protocols
  Datum value;                  // kLiteral, kTime
  double number = 0;            // v1 literal as a number
  std::string form;             // v1 literal as a string
  std::string text;             // the token as written; name of identifiers, fields, functions
  std::string second;           // second variable of a comprehension
  std::vector<Node*> args;
  std::vector<bool> optional_flags;
  Path path;                              // kSelect; what follows json() and xml()
  std::shared_ptr<const re2::RE2> regex;  // kRegex; matches() with a constant
  std::vector<std::shared_ptr<const Redaction>> redactions;
  const Variable* variable = nullptr;
  const Function* function = nullptr;
  const Type* type = nullptr;  // CEL: what the checker deduced
};

/// Owns the nodes of one expression.
struct Tree {
  std::deque<Node> nodes;
  std::deque<std::string> strings;  // unescaped literals
  Node* root = nullptr;             // null: the empty filter
  TypePool types;

  Node* make(Op op, uint32_t begin, uint32_t end) {
    Node& n = nodes.emplace_back();
    n.op = op, n.begin = begin, n.end = end;
    return &n;
  }
  std::string_view keep(std::string s) { return strings.emplace_back(std::move(s)); }
};

/// The sign of a binary operator in CEL ("&&", "=="), empty for others.
std::string_view sign(Op op);

/// The expression as text of its own dialect; parsing it again gives the same tree.
std::string print_v1(const Node* root);
std::string print_cel(const Node* root);

/// The tree for people, a line for each part: what it does, its type and how it is found.
std::string describe(const Node* root, bool v1);

}  // namespace baleen::kfl
