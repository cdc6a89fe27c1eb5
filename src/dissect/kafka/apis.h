#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace baleen::dissect::kafka {

/// An operation as apis.cpp writes it down; schema.cpp has the grammar of `request` and `response`.
struct ApiText {
  int16_t key;
  std::string_view name;
  int16_t last_version, flexible_from;
  bool is_described;
  std::string_view request, response;
};

std::span<const ApiText> api_texts();

/// What consumers tell one another in a group's bytes, `request` the subscription, `response` the assignment. A version
/// stands before the fields.
const ApiText& consumer_protocol();

}  // namespace baleen::dissect::kafka
