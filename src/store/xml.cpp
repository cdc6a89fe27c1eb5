#include "store/xml.h"

#include <expat.h>

#include <memory>
#include <utility>

namespace baleen::store {
namespace {

constexpr size_t kMaxDepth = 16, kMaxElements = 100'000, kMaxDocument = 64 << 20;
constexpr char kSeparator = '\n';  // between a namespace and a name; no name has it

/// What expat's callbacks share. `open` holds the elements that are not closed yet, the document's root last closed.
struct Builder {
  XML_Parser parser;
  std::vector<XmlNode> open;
  XmlNode root;
  size_t elements = 0;
  const char* refusal = nullptr;

  void refuse(const char* why) {
    refusal = why;
    XML_StopParser(parser, XML_FALSE);
  }
};

void on_start(void* user, const char* name, const char**) {
  auto& builder = *static_cast<Builder*>(user);
  if (builder.open.size() >= kMaxDepth) return builder.refuse("nested too deeply");
  if (++builder.elements > kMaxElements) return builder.refuse("too many elements");
  const std::string_view whole = name;
  const size_t at = whole.rfind(kSeparator);
  builder.open.emplace_back().name = at == std::string_view::npos ? whole : whole.substr(at + 1);
}

void on_end(void* user, const char*) {
  auto& builder = *static_cast<Builder*>(user);
  XmlNode node = std::move(builder.open.back());
  builder.open.pop_back();
  if (builder.open.empty()) {
    builder.root = std::move(node);
  } else {
    builder.open.back().children.push_back(std::move(node));
  }
}

void on_text(void* user, const char* text, int length) {
  auto& builder = *static_cast<Builder*>(user);
  if (!builder.open.empty()) builder.open.back().text.append(text, static_cast<size_t>(length));
}

void on_doctype(void* user, const char*, const char*, const char*, int) {
  static_cast<Builder*>(user)->refuse("it has a document type");
}

}  // namespace

const XmlNode* XmlNode::child(std::string_view wanted) const {
  for (const XmlNode& node : children)
    if (node.name == wanted) return &node;
  return nullptr;
}

std::string_view XmlNode::child_text(std::string_view wanted) const {
  const XmlNode* node = child(wanted);
  return node != nullptr ? std::string_view(node->text) : std::string_view();
}

Result<XmlNode> parse_xml(std::string_view document) {
  if (document.size() > kMaxDocument) return Error{Code::kInvalid, "the XML is too long"};
  const std::unique_ptr<std::remove_pointer_t<XML_Parser>, decltype(&XML_ParserFree)> parser(
      XML_ParserCreateNS(nullptr, kSeparator), &XML_ParserFree);
  if (!parser) return Error{Code::kInternal, "expat gives no parser"};
  Builder builder{parser.get()};
  XML_SetUserData(parser.get(), &builder);
  XML_SetElementHandler(parser.get(), on_start, on_end);
  XML_SetCharacterDataHandler(parser.get(), on_text);
  XML_SetStartDoctypeDeclHandler(parser.get(), on_doctype);
  if (XML_Parse(parser.get(), document.data(), static_cast<int>(document.size()), XML_TRUE) != XML_STATUS_OK)
    return Error{Code::kInvalid,
                 std::string("the XML is wrong: ") +
                     (builder.refusal != nullptr ? builder.refusal : XML_ErrorString(XML_GetErrorCode(parser.get())))};
  return std::move(builder.root);
}

std::string escape_xml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace baleen::store
