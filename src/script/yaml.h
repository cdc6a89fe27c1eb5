#pragma once

#include <string>

#include "item/value.h"

namespace baleen::script {

/// Appends a tree as YAML 1.2 in block style; text that could be read as anything else is quoted.
void append_yaml(const item::Value& value, std::string& out);

}  // namespace baleen::script
