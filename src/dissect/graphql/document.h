#pragma once

#include <cstddef>
#include <string_view>

// Executable documents of GraphQL: the grammar of the specification (October 2021, 2.2), recognised and not kept.

namespace baleen::dissect::graphql {

/// What a document says of the operation that is to be executed. All texts are views of the document.
struct Document {
  static constexpr size_t kMostFields = 16;

  bool ok = false;                       // the whole text is a document with at least one operation
  size_t error_at = 0;                   // when it is not: the byte at which that is clear
  size_t operations = 0;                 // in the document
  bool found = false;                    // whether one of them has the name that was asked for, or none was asked for
  std::string_view type, name;           // "query", "mutation" or "subscription"; empty for an anonymous operation
  std::string_view fields[kMostFields];  // that it selects on its first level, as named in the schema
  size_t field_count = 0;                // may exceed kMostFields; then only the first are in `fields`
};

/// `operation`: the name of the one to be executed; when it is empty, or no operation has it, the first is described.
/// Linear in the text, which may nest 128 levels deep; no memory of its own.
Document parse_document(std::string_view text, std::string_view operation = {});

}  // namespace baleen::dissect::graphql
