#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace baleen::store {

/// An element of an XML document: what S3 and Azure answer. Attributes and comments are left out, namespaces too.
struct XmlNode {
  std::string name, text;
  std::vector<XmlNode> children;

  /// The first child of that name, or null.
  const XmlNode* child(std::string_view wanted) const;
  /// The text of the first child of that name, or nothing.
  std::string_view child_text(std::string_view wanted) const;
};

/// The root element. kInvalid for what is not well-formed, has a document type (no entities are expanded), or is
/// deeper than 16 or larger than 100,000 elements: nothing that a store answers is.
Result<XmlNode> parse_xml(std::string_view document);
/// The text as it stands inside an element.
std::string escape_xml(std::string_view text);

}  // namespace baleen::store
