#include "kfl/fields.h"

#include <algorithm>
#include <set>

#include "kfl/program.h"
#include "kfl/protocols.h"
#include "kfl/variables.h"

namespace baleen::kfl {
namespace {

/// Protocols that the outermost conjunction asks for: the answer for others is known without their fields.
uint64_t flags_in(const Node* n) {
  if (n->op == Op::kFlag) return n->mask;
  return n->op == Op::kAnd ? flags_in(n->args[0]) & flags_in(n->args[1]) : kAnyProtocol;
}

class Reader {
 public:
  explicit Reader(uint64_t protocols) : protocols_(protocols) {}
  std::set<std::string> out;

  bool visit(const Node* n) {
    switch (n->op) {
      case Op::kSelect:
        if (!n->path.single) return false;
        out.insert(n->path.text());
        break;
      case Op::kVariable:
        if (!variable(*n->variable)) return false;
        break;
      case Op::kFlag:
      case Op::kInPlace: protocol(); break;
      case Op::kCall:
        if (n->helper == Helper::kRedact || n->helper == Helper::kUnknown) return false;
        if (n->helper == Helper::kRecord) out.insert("record");
        break;
      default: break;
    }
    return std::all_of(n->args.begin(), n->args.end(), [this](const Node* arg) { return visit(arg); });
  }

 private:
  void protocol() {
    for (const char* field : {"protocol.name", "protocol.version", "protocol.abbr", "protocol.macro"})
      out.insert(field);
  }
  bool variable(const Variable& v) {
    if (v.name == "src.namespace" || v.name == "dst.namespace") {  // a label for the address where there is none
      out.insert(v.name);
      out.insert(v.name.substr(0, 3) + ".ip");
      return true;
    }
    if (v.compute != nullptr || v.sources.empty()) return false;
    if (v.scope != 0 || v.in_protocol) protocol();
    for (const Variable::Source& s : v.sources) {
      if (s.protocols != kAnyProtocol) protocol();
      if ((s.protocols & protocols_) != 0) out.insert(s.path.text());
    }
    return true;
  }
  uint64_t protocols_;
};

}  // namespace

std::optional<std::vector<std::string>> fields_read(const Filter& filter) {
  const Filter::Program* p = filter.program();
  if (p == nullptr || p->tree.root == nullptr) return std::vector<std::string>();
  if (p->redacts) return std::nullopt;
  Reader reader(p->dialect == Dialect::kV1 ? kAnyProtocol : flags_in(p->tree.root));
  if (!reader.visit(p->tree.root)) return std::nullopt;
  return std::vector<std::string>(reader.out.begin(), reader.out.end());
}

}  // namespace baleen::kfl
