#pragma once

#include <string>

#include "index/parquet.h"

namespace baleen::index {

/// Items as comma-separated values (RFC 4180), with the columns of the items table. A line ends in CR LF; NULL is
/// nothing between two commas; times are RFC 3339 with nanoseconds.
void append_csv_header(std::string& out);
void append_csv(const WholeRow& row, std::string& out);

}  // namespace baleen::index
