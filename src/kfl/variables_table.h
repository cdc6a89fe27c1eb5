#pragma once

#include <span>
#include <string_view>

#include "kfl/program.h"

namespace baleen::kfl {

/// A row of the table of variables of KFL v2 (reference section 3.2).
struct VariableRow {
  std::string_view name, type;
  std::string_view scope;  // "http", "mysql", "http+dns"; empty: every item has it
  std::string_view paths;  // "response.status"; "http:response.status,dns:response.code"
  std::string_view doc;
  Datum (*compute)(Context& context) = nullptr;
  bool lenient = false;
};
std::span<const VariableRow> variable_rows();

}  // namespace baleen::kfl
