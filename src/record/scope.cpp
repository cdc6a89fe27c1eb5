#include "record/scope.h"

namespace baleen::record {

Result<Scope> Scope::compile(const std::string& text) {
  Scope scope;
  if (text.find_first_not_of(" \t\n") == std::string::npos) return scope;
  if (text != "everything") {
    BALEEN_TRY(scope.filter_, capture::PacketFilter::compile(text));
  }
  scope.text_ = text;
  return scope;
}

}  // namespace baleen::record
