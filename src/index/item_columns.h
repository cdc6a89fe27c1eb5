#pragma once

#include <cstdint>
#include <span>

#include "index/item_row.h"

namespace baleen::index {

enum class ColumnType : uint8_t { kTime, kBigint, kInteger, kBoolean, kText };

struct Column {
  const char* name;
  ColumnType type;
  bool nullable = false;
  bool unique = false;  // few rows are alike
  bool opaque = false;  // nobody asks for its lowest and highest value
};

/// The columns of the items table, in their order.
std::span<const Column> item_columns();

/// Shows a row's fields in the order of item_columns() to `v`, which has time(), bigint(), integer(), status(),
/// boolean(), text(), nullable_text() and nullable_bigint(); negative numbers and empty texts of the latter are NULL.
template <class Row, class Visitor>
void each_column(Row& r, Visitor& v) {
  v.time(r.time_ns);
  v.bigint(r.elapsed_us);
  v.text(r.protocol);
  v.text(r.abbreviation);
  v.text(r.version);
  v.text(r.error);
  v.text(r.src_ip);
  v.integer(r.src_port);
  v.text(r.src_name);
  v.text(r.src_namespace);
  v.text(r.src_pod);
  v.text(r.src_service);
  v.text(r.src_process);
  v.text(r.dst_ip);
  v.integer(r.dst_port);
  v.text(r.dst_name);
  v.text(r.dst_namespace);
  v.text(r.dst_pod);
  v.text(r.dst_service);
  v.text(r.dst_process);
  v.text(r.node);
  v.text(r.method);
  v.text(r.path);
  v.text(r.host);
  v.status(r.status);
  v.text(r.status_text);
  v.bigint(r.request_size);
  v.bigint(r.response_size);
  v.text(r.stream);
  v.bigint(r.index);
  v.text(r.id);
  v.integer(r.vlan);
  v.boolean(r.tls);
  v.nullable_text(r.packets_object);
  v.nullable_bigint(r.packets_offset);
  v.nullable_bigint(r.packets_length);
  v.text(r.json);
}

}  // namespace baleen::index
